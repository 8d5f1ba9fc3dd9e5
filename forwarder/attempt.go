package forwarder

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// An attempt is one try at a claimed delivery, with the settings that were current
// when it began.
type attempt struct {
	runner   *runner
	settings *settings
	delivery queue.Delivery
	ticket   pace.Ticket
}

func (a *attempt) run() {
	d := a.runner.dispatcher
	e, err := d.queue.Load(a.delivery)
	if err != nil {
		a.unloaded(err)
		return
	}

	began := d.options.Now()
	proof, missing, ok := a.settings.proof(e)
	if !ok {
		a.runner.hold(a, missing, began)
		return
	}
	ctx, span := a.startSpan(d.ctx, e)
	answer, err := a.send(ctx, e, proof, began)
	ended := d.options.Now()
	if err != nil && d.ctx.Err() != nil {
		cutSpan(span)
		d.queue.Release(a.delivery)
		a.runner.abandon(a)
		return
	}

	v := classify(answer, err, a.runner.answeredSince(a.delivery.LastEnded), ended)
	o := queue.Outcome{
		Delivery: a.delivery,
		At:       began,
		Duration: ended.Sub(began),
		Status:   answer.Status,
		Result:   v.result,
		Used:     v.used,
	}
	o.State, o.Next = schedule(a.settings.Retry).after(v, a.delivery.Used, ended, d.options.Rand())
	endSpan(span, o)
	d.queue.Settle(o)
	a.runner.done(a, v, cause(v, answer, err), o, ended)
	a.report(o, err, ended)
}

// send renders the event and sends it. A panic is a failure like any other; its text
// is not repeated, since it could quote anything.
func (a *attempt) send(parent context.Context, e *event.Event, proof []event.Field, now time.Time) (answer Answer, err error) {
	ctx, cancel := context.WithTimeoutCause(parent, a.settings.Timeout, a.settings.timedOut)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			answer, err = Answer{}, errPanic
		}
		if err == nil {
			return
		}
		answer = Answer{}
		if ctx.Err() != nil && !errors.Is(err, ErrConnect) && !errors.Is(err, ErrUnanswered) {
			err = context.Cause(ctx)
		}
	}()

	o := RenderOptions{
		Format:  a.settings.Format,
		Attempt: a.delivery.Used + 1,
		Now:     now,
		Version: a.runner.dispatcher.options.Version,
		Proof:   proof,
	}
	if a.settings.SigningKeys != nil {
		o.Keys = a.settings.SigningKeys()
	}
	m := Render(e, o)
	m.Probe = a.ticket.Probe
	m.traceSpan(ctx)
	return a.settings.Sender.Send(ctx, m)
}

var errPanic = fmt.Errorf("%w: a panic while sending", ErrInternal)

// unloaded ends an attempt whose event could not be loaded. An event that can never
// be opened is dead. So is one that was purged meanwhile, or it would be claimed
// again and again. Any other error may pass: the delivery keeps its slot for a moment
// and is released to the queue.
func (a *attempt) unloaded(err error) {
	d := a.runner.dispatcher
	now := d.options.Now()
	failure := fmt.Errorf("loading event %s for upstream %q: %w", a.delivery.EventID, a.delivery.Upstream, err)
	dead := queue.Outcome{Delivery: a.delivery, At: now, Result: queue.Failure, State: queue.Dead}
	switch {
	case errors.Is(err, queue.ErrNotFound):
		d.queue.Settle(dead)
	case errors.Is(err, queue.ErrUnreadable), errors.Is(err, queue.ErrNoPayload):
		d.queue.Settle(dead)
		a.report(dead, failure, now)
	default:
		a.runner.problem(now, failure)
		a.runner.wait(pace.QueueBackoff)
		d.queue.Release(a.delivery)
	}
	a.runner.abandon(a)
}

func (a *attempt) report(o queue.Outcome, err error, now time.Time) {
	r := AttemptReport{Outcome: o, Err: err}
	if o.State == queue.Delivered {
		r.Lag = max(0, now.Sub(o.Delivery.ReceivedAt)) // the clock may have been set back
	}
	a.runner.dispatcher.notify().Attempted(r)
}

// cause returns why an attempt failed, in words; nil if it did not fail.
func cause(v verdict, answer Answer, err error) error {
	if err != nil || v.result == queue.Success {
		return err
	}
	return fmt.Errorf("the upstream answered with status %d", answer.Status)
}
