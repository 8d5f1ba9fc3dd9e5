package disk

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// MaxSize fills a queue to its max_size.
var MaxSize = scenario.Scenario{
	Name: "maxsize",
	Text: "max_size is reached, and deliveries free space again",
	Run:  runMaxSize,
}

const (
	// maxFreeSpace is the maximum free space of a queue that counts as full: less than the largest event.
	maxFreeSpace = 12 << 10
)

// A fillRun fills a queue to its max_size.
type fillRun struct {
	*gateway.Rig
	book *ledger.Book
	load *load.Load

	fullest       int64
	rejectedAfter time.Duration
	longest       time.Duration // maximum time from the return of the upstream until accepting resumed
	recorded      int           // number of attempts that the full queue recorded
}

func runMaxSize(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	r, err := e.NewRig(ctx, "ehr")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	f := &fillRun{Rig: r, book: ledger.NewBook()}
	if err := r.Start(ctx, r.Caddyfile(gateway.Options{Queue: fmt.Sprintf("max_size %dMiB", e.Pick(4, 64))})); err != nil {
		return nil, err
	}
	if err := f.countsSealed(ctx); err != nil {
		return nil, err
	}
	senders := r.Fleet()
	senders.Again, senders.Padding = true, 4000
	f.load = senders.Start(ctx, f.book)
	defer f.load.Stop()
	times := e.Pick(2, 20)
	for n := range times {
		if err := f.round(ctx, n); err != nil {
			return nil, err
		}
	}
	f.load.Stop()
	row, err := r.Settle(ctx, f.book, await.Patience)
	row.Fault, row.Times, row.Recovery = "max_size reached and left", times, f.longest
	row.Note = fmt.Sprintf("fullest %s; 503 with Retry-After after %.1f s; %s attempts recorded while full; %s",
		table.Mebibytes(f.fullest), f.rejectedAfter.Seconds(), table.Thousands(f.recorded), f.book.Others())
	return []table.Row{row}, errors.Join(err, f.book.Only("200", ledger.Duplicate, "503"), f.empty(ctx))
}

// countsSealed checks that the status counts the bytes of the encrypted events.
func (f *fillRun) countsSealed(ctx context.Context) error {
	f.Ledger.Backend("ehr").Behave(ledger.Behavior{RejectAll: true})
	const events, padding = 50, 8000
	few := f.Fleet()
	few.Padding = padding
	sent := int64(0)
	for n := range events {
		p := few.Post(fmt.Sprintf("sized-%d", n), false)
		sent += int64(len(p.Body))
		if err := f.Expect(ctx, f.book, p, false); err != nil {
			return err
		}
	}
	s, err := f.Status(ctx)
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
	ehr := f.Ledger.Backend("ehr")
	ehr.Behave(ledger.Behavior{RejectAll: true}) // with 409, which does not pause the upstream
	before := ehr.Rejections()
	if err := await.Eventually(ctx, "a full queue", func() (bool, error) {
		s, err := f.look(ctx)
		return s.Queue.MaxBytes-s.Queue.Bytes < maxFreeSpace, err
	}); err != nil {
		return err
	}
	if n == 0 {
		took, err := f.ExpectRejected(ctx, f.large("refused"))
		if err != nil {
			return err
		}
		f.rejectedAfter = took
	}
	// The full queue must record attempts.
	if err := await.Eventually(ctx, "recorded attempts in a full queue", func() (bool, error) {
		if ehr.Rejections()-before < 100 {
			return false, nil
		}
		recorded, err := f.attempts(ctx)
		f.recorded = max(f.recorded, recorded)
		return recorded >= 100, err
	}); err != nil {
		return err
	}
	ehr.Behave(ledger.Behavior{})
	began, events := time.Now(), f.book.Events()
	if err := await.Eventually(ctx, "accepted events", func() (bool, error) {
		return f.book.Events() > events+100, nil
	}); err != nil {
		return err
	}
	f.longest = max(f.longest, time.Since(began))
	_, err := f.look(ctx)
	return err
}

// look returns the status, and an error if it shows more bytes than the limit.
func (f *fillRun) look(ctx context.Context) (gateway.Status, error) {
	s, err := f.Status(ctx)
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
	err = f.EachEvent(ctx, "state=pending&upstream=ehr", func(event gateway.ListedEvent) error {
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
	if err := await.Eventually(ctx, "an empty queue", func() (bool, error) {
		s, err := f.Status(ctx)
		u, _ := s.Upstream("ehr")
		return s.Queue.Bytes == 0 && u.Pending == 0 && u.Dead == 0, err
	}); err != nil {
		return err
	}
	return f.Expect(ctx, f.book, f.large("refused"), false)
}

// large returns the post of an event that does not fit into the full queue.
func (f *fillRun) large(id string) load.Post {
	large := f.Fleet()
	large.Padding = 16 << 10
	return large.Post(id, false)
}
