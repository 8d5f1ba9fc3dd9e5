package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

var maxSizeScenario = scenario{
	name: "maxsize",
	text: "max_size is reached, and deliveries free space again",
	run:  runMaxSize,
}

const (
	// maxFreeSpace is the maximum free space of a queue that counts as full: less than the largest event.
	maxFreeSpace = 12 << 10
)

// A fillRun fills a queue to its max_size.
type fillRun struct {
	*rig
	book *book
	load *load

	fullest       int64
	rejectedAfter time.Duration
	longest       time.Duration // maximum time from the return of the upstream until accepting resumed
	recorded      int           // number of attempts that the full queue recorded
}

func runMaxSize(ctx context.Context, e *env) (rows []result, err error) {
	r, err := e.newRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	f := &fillRun{rig: r, book: newBook()}
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
		mebibytes(f.fullest), f.rejectedAfter.Seconds(), thousands(f.recorded), f.book.others())
	return []result{row}, errors.Join(err, f.book.only("200", duplicate, "503"), f.empty(ctx))
}

// countsSealed checks that the status counts the bytes of the encrypted events.
func (f *fillRun) countsSealed(ctx context.Context) error {
	f.ledger.backend("ehr").behave(behavior{rejectAll: true})
	const events, padding = 50, 8000
	few := f.fleet()
	few.padding = padding
	sent := int64(0)
	for n := range events {
		p := few.post(fmt.Sprintf("sized-%d", n), false)
		sent += int64(len(p.body))
		if _, err := expect(ctx, f.rig, f.book, p, false); err != nil {
			return err
		}
	}
	s, err := f.status(ctx)
	if err != nil {
		return err
	}
	if s.Queue.Bytes < sent || s.Queue.Bytes > 2*sent {
		return fmt.Errorf("%d events of %d bytes in total count as %d bytes in the status", events, sent, s.Queue.Bytes)
	}
	return nil
}

// round waits until the queue is full, checks that it rejects events and records failed attempts, and then
// lets the upstream accept the waiting events.
func (f *fillRun) round(ctx context.Context, n int) error {
	ehr := f.ledger.backend("ehr")
	ehr.behave(behavior{rejectAll: true}) // with 409, which does not pause the upstream
	before := ehr.rejections()
	if err := eventually(ctx, "a full queue", func() (bool, error) {
		s, err := f.look(ctx)
		return s.Queue.MaxBytes-s.Queue.Bytes < maxFreeSpace, err
	}); err != nil {
		return err
	}
	if n == 0 {
		took, err := expectRejected(ctx, f.rig, f.large("refused"))
		if err != nil {
			return err
		}
		f.rejectedAfter = took
	}
	// The full queue must record attempts.
	if err := eventually(ctx, "recorded attempts in a full queue", func() (bool, error) {
		if ehr.rejections()-before < 100 {
			return false, nil
		}
		recorded, err := f.attempts(ctx)
		f.recorded = max(f.recorded, recorded)
		return recorded >= 100, err
	}); err != nil {
		return err
	}
	ehr.behave(behavior{})
	began, events := time.Now(), f.book.events()
	if err := eventually(ctx, "accepted events", func() (bool, error) {
		return f.book.events() > events+100, nil
	}); err != nil {
		return err
	}
	f.longest = max(f.longest, time.Since(began))
	_, err := f.look(ctx)
	return err
}

// look returns the status, and an error if it shows more bytes than the limit.
func (f *fillRun) look(ctx context.Context) (status, error) {
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

// attempts returns the number of recorded attempts of waiting events.
func (f *fillRun) attempts(ctx context.Context) (n int, err error) {
	err = f.eachEvent(ctx, "state=pending&upstream=ehr", func(event listedEvent) error {
		for _, d := range event.Deliveries {
			n += d.Attempts
		}
		return nil
	})
	return n, err
}

// empty waits until the outcomes of the last deliveries are stored and the queue is empty. Then the queue must
// accept the event that it rejected when it was full, as a new event.
func (f *fillRun) empty(ctx context.Context) error {
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

// large returns the post of an event that does not fit into the full queue.
func (f *fillRun) large(id string) post {
	large := f.fleet()
	large.padding = 16 << 10
	return large.post(id, false)
}
