package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strings"
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

var damageWALScenario = scenario{
	name: "wal",
	text: "a byte of the write-ahead log is flipped after kill -9",
	run:  runDamageWAL,
}

var errFewCommits = errors.New("flipping a byte of the WAL: it has too few commits")

// runDamageWAL kills the gateway while events wait, flips a byte in its WAL and restarts it. The events on
// that page may be lost, with an error in the log. No other events may be lost, such as those in later
// frames.
func runDamageWAL(ctx context.Context, e *env) (rows []result, err error) {
	row := result{fault: "byte of the WAL flipped after kill -9"}
	times := e.pick(8, 100)
	reported, most := 0, 0
	for n := range times {
		one, missing, failure := e.flip(ctx, n)
		for try := 0; errors.Is(failure, errFewCommits) && try < 20; try++ {
			one, missing, failure = e.flip(ctx, n)
		}
		row.times++
		row.acknowledged, row.delivered, row.duplicated = row.acknowledged+one.acknowledged, row.delivered+one.delivered, row.duplicated+one.duplicated
		row.lost, row.recovery = row.lost+one.lost, max(row.recovery, one.recovery)
		reported, most = reported+missing, max(most, missing)
		if failure != nil {
			err = errors.Join(err, failure)
		}
	}
	row.note = fmt.Sprintf("%d events were on the pages of flipped bytes, at most %d on one, and all of them were reported", reported, most)
	return []result{row}, err
}

// flip does this once. Missing events that were reported are returned as missing, and not counted as lost.
func (e *env) flip(ctx context.Context, n int) (row result, missing int, err error) {
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return row, 0, err
	}
	defer r.closeInto(&err)
	text := r.caddyfile(options{})
	ehr := r.ledger.backend("ehr")
	ehr.stop()
	if err := r.start(ctx, text); err != nil {
		return row, 0, err
	}
	b := newBook()
	f := r.fleet()
	f.limit, f.rate = 150+random(300), 1000
	f.start(ctx, b).done()
	if err := r.kill(); err != nil {
		return row, 0, err
	}
	where, err := r.flipInWAL(n)
	if err != nil {
		return row, 0, err
	}
	if err := ehr.start(ctx); err != nil {
		return row, 0, err
	}
	w := r.ledger.watch(b)
	defer w.end()
	if err := r.start(ctx, text); err != nil {
		return row, 0, fmt.Errorf("with a byte flipped in %s: %w", where, err)
	}
	took, err := r.after(ctx, w.first, "the first delivery of an event that waited")
	if err != nil {
		return row, 0, fmt.Errorf("with a byte flipped in %s: %w", where, err)
	}
	row, err = r.settle(ctx, b, patience)
	row.recovery = took
	if err != nil || row.lost == 0 {
		return row, 0, err
	}
	log, err := os.ReadFile(r.proc.log)
	if err != nil {
		return row, 0, fmt.Errorf("reading the gateway's log: %w", err)
	}
	if row.lost > maxEventsPerPage || !strings.Contains(string(log), `"level":"error"`) {
		return row, 0, fmt.Errorf("with a byte flipped in %s, %d of %d events are missing; the gateway's last lines are:\n%s", where, row.lost, row.acknowledged, r.proc.tail(10))
	}
	missing, row.lost = row.lost, 0
	return row, missing, nil
}

// flipInWAL flips a byte in the current generation of the WAL: in the header, in the header of a frame, or,
// mostly, in the page of a frame.
func (r *rig) flipInWAL(n int) (where string, err error) {
	f, err := os.OpenFile(r.walFile(), os.O_RDWR, 0)
	if err != nil {
		return "", fmt.Errorf("flipping a byte of the WAL: %w", err)
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	content, err := os.ReadFile(r.walFile())
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
	frame := random(frames)
	at := walHeader + frame*(frameHeader+size)
	page := binary.BigEndian.Uint32(content[at:])
	switch n % 8 {
	case 0:
		at, where = random(walHeader), "the WAL's header"
	case 1:
		at, where = at+random(frameHeader), fmt.Sprintf("the header of frame %d of %d, of page %d", frame, frames, page)
	default:
		at, where = at+frameHeader+random(size), fmt.Sprintf("frame %d of %d, of page %d", frame, frames, page)
	}
	_, err = f.WriteAt([]byte{content[at] ^ byte(1+random(255))}, int64(at))
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
