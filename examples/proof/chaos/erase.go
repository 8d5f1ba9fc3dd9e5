package main

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

var eraseScenario = scenario{
	name: "erase",
	text: "payloads are deleted after delivery, and looked for in every file of the store",
	run:  runErase,
}

// eraseLimit is how soon after its last delivery a payload is in no file any more:
// the 10 s that are promised, and something for a busy machine.
const eraseLimit = 12 * time.Second

// runErase looks for the sealed bytes of payloads in the raw files.
func runErase(ctx context.Context, e *env) (rows []result, err error) {
	for _, how := range []struct {
		name string
		rate float64 // of other events meanwhile
		kill bool    // the gateway is killed once all is delivered, and started again
	}{
		{name: "while nothing else happens"},
		{name: "under load", rate: 200},
		{name: "with kill -9 after the delivery", kill: true},
	} {
		row, failure := e.erase(ctx, how.rate, how.kill)
		row.fault = "payloads erased " + how.name
		if failure != nil {
			row.note = "FAILED: " + firstLine(failure)
			err = errors.Join(err, fmt.Errorf("%s: %w", row.fault, failure))
		}
		rows = append(rows, row)
	}
	return rows, err
}

func (e *env) erase(ctx context.Context, rate float64, kill bool) (row result, err error) {
	r, err := e.newRig(ctx, "ehr", "audit")
	if err != nil {
		return row, err
	}
	defer r.closeInto(&err)
	text := r.caddyfile(options{})
	if err := r.start(ctx, text); err != nil {
		return row, err
	}
	ehr := r.ledger.backend("ehr")
	ehr.leave()
	b := newBook()
	few := r.fleet()
	few.limit = e.pick(200, 5000)
	few.padding = 3000
	few.start(ctx, b).done()
	audit := r.ledger.backend("audit")
	if err := eventually(ctx, "the other upstream's deliveries", func() (bool, error) { return audit.events() == b.events(), nil }); err != nil {
		return row, err
	}
	payloads, err := r.sealed(ctx)
	if err != nil {
		return row, err
	}
	// Unless they are found while they are there, that they are not says nothing.
	if found, err := r.find(payloads); err != nil || found != payloads.number || found != b.events() {
		return row, errors.Join(err, fmt.Errorf("of %d events that wait %d payloads are in the store, and %d are found in its files", b.events(), payloads.number, found))
	}
	others := newBook()
	if rate > 0 {
		f := r.fleet()
		f.rate = rate
		l := f.start(ctx, others)
		defer l.stop()
	}
	if err := ehr.come(ctx); err != nil {
		return row, err
	}
	row, err = r.settle(ctx, b, longestPause)
	row.times = payloads.number
	if err != nil {
		return row, err
	}
	delivered := time.Now()
	if kill {
		if err := errors.Join(r.kill(), r.start(ctx, text)); err != nil {
			return row, err
		}
	}
	for {
		found, err := r.find(payloads)
		took := time.Since(delivered)
		if err != nil || found > 0 && took > eraseLimit {
			return row, errors.Join(err, fmt.Errorf("%.1f s after the delivery %d of %d payloads are still in the store's files", took.Seconds(), found, payloads.number))
		}
		if found == 0 {
			row.note = fmt.Sprintf("in no file of the store %.1f s after the last delivery; %s accepted meanwhile", took.Seconds(), thousands(others.events()))
			return row, nil
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return row, err
		}
	}
}

// sealedPayloads are payloads of which some pieces are known, by their first bytes.
type sealedPayloads struct {
	number int
	pieces map[uint64]sealedPiece
}

// A sealedPiece is a part of a payload.
type sealedPiece struct {
	payload int
	bytes   []byte
}

// pieceSize is how long a piece is, in bytes. Whatever is common to all that is
// sealed, as the key's fingerprint, is in the first of them, which is left out.
const pieceSize = 64

// sealed reads the payloads that are in the store, from a copy of it.
func (r *rig) sealed(ctx context.Context) (sealedPayloads, error) {
	p := sealedPayloads{pieces: make(map[uint64]sealedPiece)}
	s, err := r.quietSnapshot(ctx)
	if err != nil {
		return p, err
	}
	dir, err := os.MkdirTemp(r.dir, "copy-")
	if err != nil {
		return p, fmt.Errorf("copying the queue's file: %w", err)
	}
	file, err := s.writeTo(dir)
	if err != nil {
		return p, err
	}
	return p, query(ctx, file, "SELECT sealed FROM payload", func(rows *sql.Rows) error {
		var payload []byte
		if err := rows.Scan(&payload); err != nil {
			return err
		}
		for at := pieceSize; at+pieceSize <= len(payload); at += pieceSize {
			piece := payload[at : at+pieceSize]
			p.pieces[binary.NativeEndian.Uint64(piece)] = sealedPiece{p.number, piece}
		}
		p.number++
		return nil
	})
}

// find counts the payloads of which any piece is in any file of the store.
func (r *rig) find(p sealedPayloads) (int, error) {
	files, err := filepath.Glob(r.queueFile() + "*")
	if err != nil {
		return 0, err
	}
	found := make(map[int]bool)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // since it was listed
		}
		if err != nil {
			return 0, fmt.Errorf("looking for payloads: %w", err)
		}
		for at := 0; at+pieceSize <= len(content); at++ {
			piece, ok := p.pieces[binary.NativeEndian.Uint64(content[at:])]
			if ok && bytes.Equal(piece.bytes, content[at:at+pieceSize]) {
				found[piece.payload] = true
			}
		}
	}
	return len(found), nil
}
