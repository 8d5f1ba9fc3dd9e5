package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var maxSizeScenario = scenario{
	name: "maxsize",
	text: "max_size is reached, and left again by deliveries",
	run:  runMaxSize,
}

const (
	// roomiest is how much room a full queue may have left: less than the
	// largest event that is sent.
	roomiest = 12 << 10
)

// A filling is a queue that is filled to its max_size.
type filling struct {
	*rig
	book *book
	load *load

	fullest      int64
	refusedAfter time.Duration
	longest      time.Duration // from the upstream's return until accepting resumed
	recorded     int           // attempts that the full queue noted
}

func runMaxSize(ctx context.Context, e *env) (rows []result, err error) {
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	f := &filling{rig: r, book: newBook()}
	if err := r.start(ctx, r.caddyfile(options{queue: fmt.Sprintf("max_size %dMiB", e.pick(4, 64))})); err != nil {
		return nil, err
	}
	if err := f.countsSealed(ctx); err != nil {
		return nil, err
	}
	senders := r.fleet()
	senders.again, senders.padding = true, 4000
	f.load = senders.start(ctx, f.book)
	defer f.load.stop()
	times := e.pick(2, 20)
	for n := range times {
		if err := f.round(ctx, n); err != nil {
			return nil, err
		}
	}
	f.load.stop()
	row, err := r.settle(ctx, f.book, patience)
	row.fault, row.times, row.recovery = "max_size reached and left", times, f.longest
	row.note = fmt.Sprintf("fullest %s; 503 with Retry-After after %.1f s; %s attempts recorded while full; %s",
		mebibytes(f.fullest), f.refusedAfter.Seconds(), thousands(f.recorded), f.book.others())
	return []result{row}, errors.Join(err, f.book.only("200", duplicate, "503"), f.empty(ctx))
}

// countsSealed says whether what the status counts is the sealed events' bytes.
func (f *filling) countsSealed(ctx context.Context) error {
	f.ledger.backend("ehr").behave(manner{refuseAll: true})
	const events, padding = 50, 8000
	few := f.fleet()
	few.padding = padding
	came := int64(0)
	for n := range events {
		p := few.post(fmt.Sprintf("sized-%d", n), false)
		came += int64(len(p.body))
		if _, err := expect(ctx, f.rig, f.book, p, false); err != nil {
			return err
		}
	}
	s, err := f.status(ctx)
	if err != nil {
		return err
	}
	if s.Queue.Bytes < came || s.Queue.Bytes > 2*came {
		return fmt.Errorf("%d events of %d bytes in all count as %d bytes in the status", events, came, s.Queue.Bytes)
	}
	return nil
}

// round waits until the full queue refuses, has it note failed attempts, and has
// the upstream take what waits.
func (f *filling) round(ctx context.Context, n int) error {
	ehr := f.ledger.backend("ehr")
	ehr.behave(manner{refuseAll: true}) // with 409, which pauses nothing
	before := ehr.refusals()
	if err := eventually(ctx, "a full queue", func() (bool, error) {
		s, err := f.look(ctx)
		return s.Queue.MaxBytes-s.Queue.Bytes < roomiest, err
	}); err != nil {
		return err
	}
	if n == 0 {
		took, err := refuse(ctx, f.rig, f.large("refused"))
		if err != nil {
			return err
		}
		f.refusedAfter = took
	}
	// Each event is attempted, and that is written down.
	if err := eventually(ctx, "attempts at a full queue's events to be recorded", func() (bool, error) {
		if ehr.refusals()-before < 100 {
			return false, nil
		}
		recorded, err := f.attempts(ctx)
		f.recorded = max(f.recorded, recorded)
		return recorded >= 100, err
	}); err != nil {
		return err
	}
	ehr.behave(manner{})
	began, events := time.Now(), f.book.events()
	if err := eventually(ctx, "accepting to resume", func() (bool, error) {
		return f.book.events() > events+100, nil
	}); err != nil {
		return err
	}
	f.longest = max(f.longest, time.Since(began))
	_, err := f.look(ctx)
	return err
}

// look asks for the status, in which there may never be more bytes than the
// limit.
func (f *filling) look(ctx context.Context) (status, error) {
	s, err := f.status(ctx)
	if err != nil {
		return s, err
	}
	f.fullest = max(f.fullest, s.Queue.Bytes)
	if s.Queue.Bytes > s.Queue.MaxBytes {
		return s, fmt.Errorf("the status shows %d bytes, which is more than the limit of %d", s.Queue.Bytes, s.Queue.MaxBytes)
	}
	return s, nil
}

// attempts counts those that the queue has noted for events that wait.
func (f *filling) attempts(ctx context.Context) (n int, err error) {
	err = f.eachEvent(ctx, "state=pending&upstream=ehr", func(event listedEvent) error {
		for _, d := range event.Deliveries {
			n += d.Attempts
		}
		return nil
	})
	return n, err
}

// empty waits until the outcomes of the last deliveries are written down, which
// leaves an empty queue; it takes what it refused when it was full as a new event.
func (f *filling) empty(ctx context.Context) error {
	if err := eventually(ctx, "an empty queue", func() (bool, error) {
		s, err := f.status(ctx)
		u, _ := s.upstream("ehr")
		return s.Queue.Bytes == 0 && u.Pending == 0 && u.Dead == 0, err
	}); err != nil {
		return err
	}
	_, err := expect(ctx, f.rig, f.book, f.large("refused"), false)
	return err
}

// large makes the post of an event that the full queue has no room for.
func (f *filling) large(id string) post {
	large := f.fleet()
	large.padding = 16 << 10
	return large.post(id, false)
}
