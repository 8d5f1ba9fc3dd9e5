package files

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// The layout of SQLite's WAL, in bytes. The salts identify the current generation of the WAL: frames with
// other salts are from an earlier one.
const (
	walHeader   = 32
	walPageSize = 8  // in the header
	walSalts    = 16 // in the header, 8 of them
	frameHeader = 24
	frameSalts  = 8 // in the frame's header
)

// maxEventsPerPage is an upper bound of the number of events on one page of the queue's file.
const maxEventsPerPage = 128

// WAL flips bytes of the WAL.
var WAL = scenario.Scenario{
	Name: "wal",
	Text: "a byte of the write-ahead log is flipped after kill -9",
	Run:  runDamageWAL,
}

var errFewCommits = errors.New("flipping a byte of the WAL: it has too few commits")

// runDamageWAL kills the gateway while events wait, flips a byte in its WAL and restarts it. The events on
// that page may be lost, with an error in the log. No other events may be lost, such as those in later
// frames.
func runDamageWAL(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	row := table.Row{Fault: "byte of the WAL flipped after kill -9"}
	times := e.Pick(8, 100)
	reported, most := 0, 0
	for n := range times {
		one, missing, failure := flip(ctx, e, n)
		for try := 0; errors.Is(failure, errFewCommits) && try < 20; try++ {
			one, missing, failure = flip(ctx, e, n)
		}
		row.Times++
		row.Acknowledged, row.Delivered, row.Duplicated = row.Acknowledged+one.Acknowledged, row.Delivered+one.Delivered, row.Duplicated+one.Duplicated
		row.Lost, row.Recovery = row.Lost+one.Lost, max(row.Recovery, one.Recovery)
		reported, most = reported+missing, max(most, missing)
		if failure != nil {
			err = errors.Join(err, failure)
		}
	}
	row.Note = fmt.Sprintf("%d events were on the pages of flipped bytes, at most %d on one, and all of them were reported", reported, most)
	return []table.Row{row}, err
}

// flip does this once. Missing events that were reported are returned as missing, and not counted as lost.
func flip(ctx context.Context, e *scenario.Env, n int) (row table.Row, missing int, err error) {
	r, err := e.NewRig(ctx, "ehr")
	if err != nil {
		return row, 0, err
	}
	defer r.CloseInto(&err)
	text := r.Caddyfile(gateway.Options{})
	ehr := r.Ledger.Backend("ehr")
	ehr.Stop()
	if err := r.Start(ctx, text); err != nil {
		return row, 0, err
	}
	b := ledger.NewBook()
	f := r.Fleet()
	f.Limit, f.Rate = 150+scenario.Random(300), 1000
	f.Start(ctx, b).Done()
	if err := r.Kill(); err != nil {
		return row, 0, err
	}
	where, err := flipInWAL(r, n)
	if err != nil {
		return row, 0, err
	}
	if err := ehr.Start(ctx); err != nil {
		return row, 0, err
	}
	w := r.Ledger.Watch(b)
	defer w.End()
	if err := r.Start(ctx, text); err != nil {
		return row, 0, fmt.Errorf("with a byte flipped in %s: %w", where, err)
	}
	took, err := r.After(ctx, w.First, "the first delivery of an event that waited")
	if err != nil {
		return row, 0, fmt.Errorf("with a byte flipped in %s: %w", where, err)
	}
	row, err = r.Settle(ctx, b, await.Patience)
	row.Recovery = took
	if err != nil || row.Lost == 0 {
		return row, 0, err
	}
	log, err := os.ReadFile(r.Proc.Log)
	if err != nil {
		return row, 0, fmt.Errorf("reading the gateway's log: %w", err)
	}
	if row.Lost > maxEventsPerPage || !strings.Contains(string(log), `"level":"error"`) {
		return row, 0, fmt.Errorf("with a byte flipped in %s, %d of %d events are missing; the gateway's last lines are:\n%s", where, row.Lost, row.Acknowledged, r.Proc.Tail(10))
	}
	missing, row.Lost = row.Lost, 0
	return row, missing, nil
}

// flipInWAL flips a byte in the current generation of the WAL: in the header, in the header of a frame, or,
// mostly, in the page of a frame.
func flipInWAL(r *gateway.Rig, n int) (where string, err error) {
	f, err := os.OpenFile(r.WALFile(), os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("flipping a byte of the WAL: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err := os.ReadFile(r.WALFile())
	if err != nil {
		return "", fmt.Errorf("flipping a byte of the WAL: %w", err)
	}
	frames, size := walFrames(content)
	// Damage in the last commits looks like a power cut, which may lose them.
	for commits := 0; frames > 0; frames-- {
		if binary.BigEndian.Uint32(content[walHeader+(frames-1)*(frameHeader+size)+4:]) != 0 {
			if commits++; commits > 2 {
				break
			}
		}
	}
	if frames == 0 {
		return "", errFewCommits
	}
	frame := scenario.Random(frames)
	at := walHeader + frame*(frameHeader+size)
	page := binary.BigEndian.Uint32(content[at:])
	switch n % 8 {
	case 0:
		at, where = scenario.Random(walHeader), "the WAL's header"
	case 1:
		at, where = at+scenario.Random(frameHeader), fmt.Sprintf("the header of frame %d of %d, of page %d", frame, frames, page)
	default:
		at, where = at+frameHeader+scenario.Random(size), fmt.Sprintf("frame %d of %d, of page %d", frame, frames, page)
	}
	_, err = f.WriteAt([]byte{content[at] ^ byte(1+scenario.Random(255))}, int64(at))
	return where, err
}

// walFrames returns the number of frames in the current generation of a WAL, and their page size.
func walFrames(wal []byte) (n, size int) {
	if len(wal) < walHeader {
		return 0, 0
	}
	size = int(binary.BigEndian.Uint32(wal[walPageSize:]))
	salts := string(wal[walSalts : walSalts+8])
	for at := walHeader; at+frameHeader+size <= len(wal) && string(wal[at+frameSalts:at+frameSalts+8]) == salts; at += frameHeader + size {
		n++
	}
	return n, size
}
