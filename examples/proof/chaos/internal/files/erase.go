package files

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

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Erase searches for deleted payloads in the files.
var Erase = scenario.Scenario{
	Name: "erase",
	Text: "payloads are deleted after delivery, and searched for in every file of the store",
	Run:  runErase,
}

// eraseLimit is the maximum time until a payload is in no file, after its last delivery: the promised 10 s,
// and a reserve for a busy machine.
const eraseLimit = 12 * time.Second

// runErase searches for the encrypted bytes of payloads in the files.
func runErase(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	for _, how := range []struct {
		name string
		rate float64 // of other events at the same time
		kill bool    // restart the gateway with kill -9 after the deliveries
	}{
		{name: "while nothing else happens"},
		{name: "under load", rate: 200},
		{name: "with kill -9 after the delivery", kill: true},
	} {
		row, failure := erase(ctx, e, how.rate, how.kill)
		row.Fault = "payloads erased " + how.name
		if failure != nil {
			row.Note = table.Failed(failure)
			err = errors.Join(err, fmt.Errorf("%s: %w", row.Fault, failure))
		}
		rows = append(rows, row)
	}
	return rows, err
}

func erase(ctx context.Context, e *scenario.Env, rate float64, kill bool) (row table.Row, err error) {
	r, err := e.NewRig(ctx, "ehr", "audit")
	if err != nil {
		return row, err
	}
	defer r.CloseInto(&err)
	text := r.Caddyfile(gateway.Options{})
	if err := r.Start(ctx, text); err != nil {
		return row, err
	}
	ehr := r.Ledger.Backend("ehr")
	ehr.Stop()
	b := ledger.NewBook()
	few := r.Fleet()
	few.Limit = e.Pick(200, 5000)
	few.Padding = 3000
	few.Start(ctx, b).Done()
	audit := r.Ledger.Backend("audit")
	if err := await.Eventually(ctx, "the other upstream's deliveries", func() (bool, error) { return audit.Events() == b.Events(), nil }); err != nil {
		return row, err
	}
	payloads, err := sealed(ctx, r)
	if err != nil {
		return row, err
	}
	// First check that the search finds payloads that exist.
	if found, err := find(r, payloads); err != nil || found != payloads.number || found != b.Events() {
		return row, errors.Join(err, fmt.Errorf("%d events wait, and the store has %d payloads, of which %d are found in its files", b.Events(), payloads.number, found))
	}
	others := ledger.NewBook()
	if rate > 0 {
		f := r.Fleet()
		f.Rate = rate
		l := f.Start(ctx, others)
		defer l.Stop()
	}
	if err := ehr.Start(ctx); err != nil {
		return row, err
	}
	row, err = r.Settle(ctx, b, scenario.LongestPause)
	row.Times = payloads.number
	if err != nil {
		return row, err
	}
	delivered := time.Now()
	if kill {
		if err := errors.Join(r.Kill(), r.Start(ctx, text)); err != nil {
			return row, err
		}
	}
	for {
		found, err := find(r, payloads)
		took := time.Since(delivered)
		if err != nil || found > 0 && took > eraseLimit {
			return row, errors.Join(err, fmt.Errorf("%.1f s after the delivery %d of %d payloads are still in the store's files", took.Seconds(), found, payloads.number))
		}
		if found == 0 {
			row.Note = fmt.Sprintf("in no file of the store %.1f s after the last delivery; %s other events accepted", took.Seconds(), table.Thousands(others.Events()))
			return row, nil
		}
		if err := await.Sleep(ctx, 250*time.Millisecond); err != nil {
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
func sealed(ctx context.Context, r *gateway.Rig) (sealedPayloads, error) {
	p := sealedPayloads{pieces: make(map[uint64]sealedPiece)}
	s, err := r.QuietSnapshot(ctx)
	if err != nil {
		return p, err
	}
	dir, err := os.MkdirTemp(r.Dir, "copy-")
	if err != nil {
		return p, fmt.Errorf("copying the queue's file: %w", err)
	}
	file, err := s.WriteTo(dir)
	if err != nil {
		return p, err
	}
	return p, gateway.Query(ctx, file, "SELECT sealed FROM payload", func(rows *sql.Rows) error {
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
func find(r *gateway.Rig, p sealedPayloads) (int, error) {
	files, err := filepath.Glob(r.QueueFile() + "*")
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
