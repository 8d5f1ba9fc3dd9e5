package result

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
	"github.com/scribegate/scribegate/verifier/event"
)

// unloadedWait is the wait before a delivery whose event cannot be loaded now is
// released.
const unloadedWait = time.Second

// panicWait is the wait after an attempt that panicked.
const panicWait = time.Minute

var errPanic = errors.New("a panic of the gateway while asking the provider's API: report it, with the log")

// An attempt is one try at a claimed delivery.
type attempt struct {
	stage    *Stage
	delivery queue.Delivery
	ticket   pace.Ticket
	idle     bool  // it makes no request, since the stage is paused
	cause    error // by this

	event  *event.Event // nil for a cleanup
	waited func() time.Duration

	// Set by the work.
	outcome     queue.Outcome
	verdict     pace.Verdict // on the API
	asked       bool         // whether there was a request
	err         error
	word        Word
	unavailable string
	after       []func() // called after the outcome was settled
}

func (a *attempt) run() {
	s := a.stage
	if s.work.needsEvent() {
		e, err := s.queue.Load(a.delivery)
		if err != nil {
			a.unloaded(err)
			return
		}
		a.event = e
	}
	ctx, waited := rest.Stopwatch(s.ctx)
	if a.ticket.Probe {
		ctx = rest.OnNewConn(ctx)
	}
	a.waited = waited
	a.outcome = queue.Outcome{Delivery: a.delivery, At: time.Now(), Used: true}
	a.do(ctx)
	defer func() {
		for _, f := range a.after {
			f()
		}
	}()
	if ctx.Err() != nil {
		s.queue.Release(a.delivery)
		s.done(a, false)
		return
	}
	s.queue.Settle(a.outcome)
	s.done(a, a.asked)
	s.notify().Attempted(Report{Outcome: a.outcome, Word: a.word, Err: a.err, Asked: a.asked, Unavailable: a.unavailable})
}

// do does the work. A panic is a failure of the gateway; its text is not repeated, since
// it could quote anything.
func (a *attempt) do(ctx context.Context) {
	defer func() {
		if p := recover(); p == nil {
			return
		}
		now := a.finish()
		last, _ := newest(a.delivery)
		o := &a.outcome
		o.State, o.Result, o.Next, o.Note, o.Event = queue.Pending, queue.Failure, now.Add(panicWait), last.Note, nil
		a.verdict, a.err, a.word = pace.Verdict{Internal: true}, errPanic, Word(rest.InvalidAnswer)
	}()
	if a.idle {
		a.stage.work.expire(a, a.cause)
		return
	}
	a.stage.work.attempt(ctx, a)
}

// finish sets the duration of the attempt, without what it has waited for the rate limit,
// and returns the time.
func (a *attempt) finish() time.Time {
	now := time.Now()
	a.outcome.Duration = max(0, now.Sub(a.outcome.At)-a.waited())
	return now
}

// unloaded ends an attempt whose event could not be loaded. One that can never be opened
// is handed on, so that its deliveries end as those of any event that cannot be opened.
// One that was purged is settled, or it would be claimed again and again.
func (a *attempt) unloaded(err error) {
	s, now := a.stage, time.Now()
	failure := fmt.Errorf("loading event %s to complete it: %w", a.delivery.EventID, err)
	o := queue.Outcome{Delivery: a.delivery, At: now, Result: queue.Failure, State: queue.Delivered, Retain: true}
	switch {
	case errors.Is(err, queue.ErrNotFound):
		s.queue.Settle(o)
	case errors.Is(err, queue.ErrUnreadable), errors.Is(err, queue.ErrNoPayload):
		s.queue.Settle(o)
		s.notify().Attempted(Report{Outcome: o, Word: Unreadable, Err: failure})
	default:
		s.report(now, failure)
		timer := time.NewTimer(unloadedWait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-s.stop:
		}
		s.queue.Release(a.delivery)
	}
	s.done(a, false)
}

// done frees the slot of an attempt, and records what it says about the API if it asked.
func (s *Stage) done(a *attempt, asked bool) {
	now := time.Now()
	s.mu.Lock()
	s.inFlight--
	if asked {
		s.pause.End(a.ticket, a.verdict, a.err, now)
	} else {
		s.pause.Abandon(a.ticket)
	}
	if a.outcome.State == queue.Pending {
		s.agenda.Postpone(now, a.outcome.Next)
	}
	s.mu.Unlock()
	s.nudge()
}
