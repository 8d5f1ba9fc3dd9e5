package gateway

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// inquiryTimeout is how long the queue may take to return its counts.
	inquiryTimeout = 2 * time.Second

	// refusedFor is how long after the last refusal events count as refused.
	// It ends, since a load balancer sends no event to a gateway that is not ready,
	// so no event could show that storing works again.
	refusedFor = 15 * time.Second

	// startCheck is the interval in which Await checks whether the gateway is open.
	startCheck = 20 * time.Millisecond
)

// An inquiry runs the queries of operators and metrics on a gateway's queue, one at a
// time. While a queue hangs with its disk, no further query is started.
type inquiry struct {
	underWay chan struct{} // holds a token while a query runs
	since    atomic.Int64  // when that query began, in nanoseconds
	trouble  trouble

	stored, refused atomic.Int64 // when the newest event was stored or refused, in nanoseconds; 0 is never
}

func newInquiry() inquiry {
	return inquiry{underWay: make(chan struct{}, 1), trouble: trouble{begun: countingFails, over: countingWorks}}
}

// Unanswered is the error of a queue that has not answered in time.
type Unanswered struct {
	key   string // of the queue
	since time.Time
}

// Error implements error.
func (u Unanswered) Error() string {
	return fmt.Sprintf("the queue %s has not answered since %s; check its disk and the log", u.key, stamp(u.since))
}

// stamp formats a time for errors and logs.
func stamp(at time.Time) string { return at.UTC().Format(time.RFC3339) }

// inquire returns the result of ask, or, after inquiryTimeout, an Unanswered. In that
// case ask continues in the background, so it must not use the caller's variables.
func inquire[T any](g *Gateway, ask func(context.Context) (T, error)) (T, error) {
	ctx, cancel := context.WithTimeout(context.Background(), inquiryTimeout)
	defer cancel()
	type answer struct {
		value T
		err   error
	}
	answered := make(chan answer, 1)
	var a answer
	select {
	case g.inquiry.underWay <- struct{}{}:
		g.inquiry.since.Store(time.Now().UnixNano())
		go func() {
			defer func() { <-g.inquiry.underWay }()
			value, err := ask(ctx)
			answered <- answer{value, err}
		}()
		select {
		case a = <-answered:
		case <-ctx.Done():
		}
	case <-ctx.Done():
	}
	if ctx.Err() != nil {
		a = answer{err: Unanswered{g.key, time.Unix(0, g.inquiry.since.Load())}}
	}
	if !errors.Is(a.err, queue.ErrClosed) {
		g.inquiry.trouble.observe(a.err, g.logger)
	}
	return a.value, a.err
}

// Await returns the current gateway, or nil if there is none. While the first
// configuration is being loaded it waits for the gateway, but no longer than
// inquiryTimeout: the admin API is there before the queue is open.
func Await(ctx context.Context) *Gateway {
	ctx, cancel := context.WithTimeout(ctx, inquiryTimeout)
	defer cancel()
	for {
		loaded := caddy.ActiveContext().Context != nil // checked before the gateway, which opens first
		if g := Current(); g != nil || loaded {
			return g
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(startCheck):
		}
	}
}

// Stats returns the counts of the queue.
func (g *Gateway) Stats() (queue.Stats, error) {
	return inquire(g, func(context.Context) (queue.Stats, error) { return g.queue.Stats() })
}

// note records whether the newest event was stored. It ignores an event that was
// refused because the queue is full.
func (i *inquiry) note(err error) {
	switch now := time.Now().UnixNano(); {
	case err == nil:
		i.stored.Store(now)
	case errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, queue.ErrFull):
		i.refused.Store(now)
	}
}

// refusing returns when the newest event was refused, and whether events count as
// refused: that was within refusedFor, and no event was stored since.
func (i *inquiry) refusing(now time.Time) (at time.Time, yes bool) {
	refused := i.refused.Load()
	at = time.Unix(0, refused)
	return at, refused > i.stored.Load() && now.Sub(at) < refusedFor
}

// newest describes whether the newest event was stored.
func (i *inquiry) newest() string {
	stored, refused := i.stored.Load(), i.refused.Load()
	switch {
	case refused > stored:
		return "the newest event was refused at " + stamp(time.Unix(0, refused))
	case stored > 0:
		return "the newest event was stored at " + stamp(time.Unix(0, stored))
	}
	return "no event has been received since the queue was opened"
}
