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
	text: "payloads are deleted after delivery, and searched for in every file of the store",
	run:  runErase,
}

// eraseLimit is the maximum time until a payload is in no file, after its last delivery: the promised 10 s,
// and a reserve for a busy machine.
const eraseLimit = 12 * time.Second

// runErase searches for the encrypted bytes of payloads in the files.
func runErase(ctx context.Context, e *env) (rows []result, err error) {
	for _, how := range []struct {
		name string
		rate float64 // of other events at the same time
		kill bool    // restart the gateway with kill -9 after the deliveries
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
	ehr.stop()
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
	// First check that the search finds payloads that exist.
	if found, err := r.find(payloads); err != nil || found != payloads.number || found != b.events() {
		return row, errors.Join(err, fmt.Errorf("%d events wait, and the store has %d payloads, of which %d are found in its files", b.events(), payloads.number, found))
	}
	others := newBook()
	if rate > 0 {
		f := r.fleet()
		f.rate = rate
		l := f.start(ctx, others)
		defer l.stop()
	}
	if err := ehr.start(ctx); err != nil {
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
			row.note = fmt.Sprintf("in no file of the store %.1f s after the last delivery; %s other events accepted", took.Seconds(), thousands(others.events()))
			return row, nil
		}
		if err := sleep(ctx, 250*time.Millisecond); err != nil {
			return row, err
		}
	}
}

// sealedPayloads are encrypted payloads in pieces, by the first bytes of each piece.
type sealedPayloads struct {
	number int
	pieces map[uint64]sealedPiece
}

// A sealedPiece is a piece of an encrypted payload.
type sealedPiece struct {
	payload int
	bytes   []byte
}

// pieceSize is the size of a piece in bytes. The first piece of a payload is not used, since it contains
// bytes that all payloads share, such as the fingerprint of the key.
const pieceSize = 64

// sealed returns the payloads in a copy of the store.
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

// find returns the number of payloads of which a piece is in a file of the store.
func (r *rig) find(p sealedPayloads) (int, error) {
	files, err := filepath.Glob(r.queueFile() + "*")
	if err != nil {
		return 0, err
	}
	found := make(map[int]bool)
	for _, file := range files {
		content, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // it was deleted after Glob
		}
		if err != nil {
			return 0, fmt.Errorf("searching for payloads: %w", err)
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
