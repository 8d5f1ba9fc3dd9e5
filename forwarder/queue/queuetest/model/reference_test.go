package model_test

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/model"
	"github.com/scribegate/scribegate/verifier/event"
)

// A reference is a queue in memory: the model with a lock. Outcomes take effect at the
// next operation that writes.
type reference struct {
	*referenceStorage
	clock *queuetest.Clock
	ages  *queue.AgeClock

	mu       sync.Mutex
	wake     func(string)
	outcomes []queue.Outcome
	closed   chan struct{}
}

func (q *reference) now() (earliest, latest time.Time) {
	earliest, latest = q.ages.Now(q.clock.Now(), q.clock.Elapsed())
	q.lastUsed = earliest
	return earliest, latest
}

func (q *reference) locked(f func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	f()
}

// do runs f under the lock, unless the queue is closed or ctx has ended.
func (q *reference) do(ctx context.Context, f func() error) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	select {
	case <-q.closed:
		return queue.ErrClosed
	default:
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	return f()
}

func (q *reference) Store(ctx context.Context, it queue.Item) (r queue.Receipt, err error) {
	for {
		last := err // more specific than the error of ctx
		err = q.do(ctx, func() error {
			q.applyOutcomes()
			r.Duplicate = q.model.Duplicate(it)
			switch {
			case r.Duplicate:
				return nil
			case q.failing:
				return errors.New("no space left on device")
			case q.model.Settings.MaxSize > 0 && q.bytes()+size(it.Event) > q.model.Settings.MaxSize:
				return queue.ErrFull
			}
			q.model.Store(it)
			e := q.model.Find(it.Event.ID)
			q.keys[e] = q.key
			q.wakeAll(e)
			return nil
		})
		switch {
		case err == nil || errors.Is(err, queue.ErrClosed):
			return r, err
		case ctx.Err() != nil:
			return queue.Receipt{}, cmp.Or(last, err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Millisecond):
		}
	}
}

// wakeAll wakes the upstreams and stages of an event.
func (q *reference) wakeAll(e *model.Event) {
	if e.Event == nil { // it no longer exists
		return
	}
	r := e.Record()
	for _, d := range slices.Concat(r.Deliveries, r.Stages) {
		q.wake(d.Upstream)
	}
}

func size(e *event.Event) int64 { return int64(len(e.Body)) + 500 }

func (q *reference) bytes() (n int64) {
	for _, e := range q.model.Events {
		if e.Payload {
			n += size(e.Event)
		}
	}
	return n
}

func (q *reference) Claim(upstream string, now time.Time, want queue.Want) (c queue.Claimed, err error) {
	err = q.do(context.Background(), func() error {
		q.applyOutcomes()
		var events []*model.Event
		events, c.Next = q.model.Claim(upstream, now, want)
		for _, e := range events {
			d := e.Claimed(upstream)
			d.Seq = uint64(e.Arrival)
			if e.Payload {
				d.Size = size(e.Event)
			}
			c.Deliveries = append(c.Deliveries, d)
		}
		return nil
	})
	return c, err
}

// event returns the event of a delivery, or an event without deliveries if it no longer
// exists.
func (q *reference) event(d queue.Delivery) *model.Event {
	for _, e := range q.model.Events {
		if e.Arrival == int(d.Seq) {
			return e
		}
	}
	return &model.Event{}
}

func (q *reference) Load(d queue.Delivery) (loaded *event.Event, err error) {
	err = q.do(context.Background(), func() error {
		e := q.event(d)
		switch {
		case queue.IsCleanup(d.Upstream):
			return queue.ErrNoPayload
		case e.Delivery(d.Upstream) == nil:
			return queue.ErrNotFound
		}
		loaded, err = q.unseal(e)
		return err
	})
	return loaded, err
}

func (q *reference) unseal(e *model.Event) (*event.Event, error) {
	if q.keys[e] != q.key {
		return nil, queue.ErrUnreadable
	}
	return e.Event, nil
}

func (q *reference) Settle(o queue.Outcome) {
	if !policy.Settles(&o) {
		q.Release(o.Delivery)
		return
	}
	q.locked(func() { q.outcomes = append(q.outcomes, o) })
}

func (q *reference) applyOutcomes() {
	if q.failing {
		return
	}
	for _, o := range q.outcomes {
		e := q.event(o.Delivery)
		if o.Event != nil {
			q.keys[e] = q.key
		}
		q.model.Settle(e, o.Delivery.Upstream, o)
		q.wakeAll(e)
	}
	q.outcomes = nil
}

func (q *reference) Release(d queue.Delivery) {
	q.locked(func() {
		q.model.Release(q.event(d), d.Upstream)
		q.wake(d.Upstream)
	})
}

func (q *reference) Notify(wake func(string)) { q.locked(func() { q.wake = wake }) }

func (q *reference) Events(ctx context.Context, f queue.Filter) (p queue.Page, err error) {
	before := 0
	if f.Cursor != "" {
		if before, err = strconv.Atoi(f.Cursor); err != nil {
			return p, queue.ErrInvalid
		}
	}
	if f.State != "" && !slices.Contains(queue.States, f.State) {
		return p, queue.ErrInvalid
	}
	err = q.do(ctx, func() error {
		last := 0
		for _, e := range q.model.List(f) {
			switch {
			case before != 0 && e.Arrival >= before:
			case len(p.Records) == f.Limit:
				p.Next = strconv.Itoa(last)
				return nil
			default:
				last = e.Arrival
				p.Records = append(p.Records, e.Record())
			}
		}
		return nil
	})
	return p, err
}

func (q *reference) Event(ctx context.Context, id string) (r queue.Record, err error) {
	err = q.do(ctx, func() error {
		e := q.model.Find(id)
		if e == nil {
			return queue.ErrNotFound
		}
		r = e.Record()
		return nil
	})
	return r, err
}

func (q *reference) Payload(ctx context.Context, id string) (loaded *event.Event, err error) {
	err = q.do(ctx, func() error {
		switch e := q.model.Find(id); {
		case e == nil:
			return queue.ErrNotFound
		case !e.Payload:
			return queue.ErrNoPayload
		default:
			loaded, err = q.unseal(e)
			return err
		}
	})
	return loaded, err
}
