package queuetest

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// TestSuiteAgainstReference runs the suite against a queue that is the model in memory.
func TestSuiteAgainstReference(t *testing.T) {
	t.Parallel()
	Run(t, openReference)
}

func openReference(t testing.TB, s queue.Settings, clock *Clock) *Engine {
	t.Helper()
	storage := &referenceStorage{keys: make(map[*modelEvent]int)}
	storage.model = newModel(s, nil)
	q := storage.open(s, clock)
	return &Engine{
		Queue: q,
		Flush: func() { q.locked(q.applyOutcomes) },
		Sweep: func() { q.locked(q.model.sweep) },
		Reopen: func(s queue.Settings) queue.Queue {
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = storage.open(s, clock)
			return q
		},
		Crash: func(s queue.Settings) queue.Queue {
			q.kill()
			q = storage.open(s, clock)
			return q
		},
		FailWrites: func(fail bool) {
			q.locked(func() { storage.failing = fail })
		},
	}
}

// A referenceStorage is what a reference keeps when it is closed.
type referenceStorage struct {
	model    *model
	lastUsed time.Time
	failing  bool
	keys     map[*modelEvent]int // that the events are sealed with
}

// A reference is a queue in memory: the model with a lock around it. Outcomes take
// effect at the next operation that writes.
type reference struct {
	*referenceStorage
	clock *Clock
	ages  *queue.AgeClock

	mu       sync.Mutex
	wake     func(string)
	outcomes []queue.Outcome
	closed   chan struct{}
}

func (s *referenceStorage) open(settings queue.Settings, clock *Clock) *reference {
	q := &reference{
		referenceStorage: s, clock: clock, ages: queue.NewAgeClock(s.lastUsed, clock.Elapsed()),
		wake: func(string) {}, closed: make(chan struct{}),
	}
	s.model.settings, s.model.now = settings, q.now
	s.model.restart()
	_, _ = q.now() // the age clock begins
	return q
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
		last := err // says more than that the context has ended
		err = q.do(ctx, func() error {
			q.applyOutcomes()
			r.Duplicate = q.model.duplicate(it.Event.ID)
			switch {
			case q.failing:
				return errors.New("no space left on device")
			case r.Duplicate:
				return nil
			case q.model.settings.MaxSize > 0 && q.bytes()+size(it.Event) > q.model.settings.MaxSize:
				return queue.ErrFull
			}
			q.model.store(it)
			for _, d := range q.model.events[len(q.model.events)-1].deliveries {
				q.wake(d.Upstream)
			}
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

func size(e *event.Event) int64 { return int64(len(e.Body)) + 500 }

func (q *reference) bytes() (n int64) {
	for _, e := range q.model.events {
		if e.payload {
			n += size(e.Event)
		}
	}
	return n
}

func (q *reference) Claim(upstream string, now time.Time, want queue.Want) (c queue.Claimed, err error) {
	err = q.do(context.Background(), func() error {
		q.applyOutcomes()
		var events []*modelEvent
		events, c.Next = q.model.claim(upstream, now, want)
		for _, e := range events {
			d := e.claimed(upstream)
			d.Seq, d.Size = uint64(e.arrival), size(e.Event)
			c.Deliveries = append(c.Deliveries, d)
		}
		return nil
	})
	return c, err
}

// event returns the event of a delivery, or one without deliveries if it is gone.
func (q *reference) event(d queue.Delivery) *modelEvent {
	for _, e := range q.model.events {
		if e.arrival == int(d.Seq) {
			return e
		}
	}
	return &modelEvent{}
}

func (q *reference) Load(d queue.Delivery) (loaded *event.Event, err error) {
	err = q.do(context.Background(), func() error {
		e := q.event(d)
		if e.delivery(d.Upstream) == nil {
			return queue.ErrNotFound
		}
		loaded = e.Event
		return nil
	})
	return loaded, err
}

func (q *reference) Settle(o queue.Outcome) {
	q.locked(func() { q.outcomes = append(q.outcomes, o) })
}

func (q *reference) applyOutcomes() {
	if q.failing {
		return
	}
	for _, o := range q.outcomes {
		q.model.settle(q.event(o.Delivery), o.Delivery.Upstream, o)
		if o.State == queue.Pending {
			q.wake(o.Delivery.Upstream)
		}
	}
	q.outcomes = nil
}

func (q *reference) Release(d queue.Delivery) {
	q.locked(func() {
		q.model.release(q.event(d), d.Upstream)
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
	if !slices.Contains(allStates, f.State) {
		return p, queue.ErrInvalid
	}
	err = q.do(ctx, func() error {
		last := 0
		for _, e := range q.model.list(f) {
			switch {
			case before != 0 && e.arrival >= before:
			case len(p.Records) == f.Limit:
				p.Next = strconv.Itoa(last)
				return nil
			default:
				last = e.arrival
				p.Records = append(p.Records, e.record())
			}
		}
		return nil
	})
	return p, err
}

func (q *reference) Event(ctx context.Context, id string) (r queue.Record, err error) {
	err = q.do(ctx, func() error {
		e := q.model.find(id)
		if e == nil {
			return queue.ErrNotFound
		}
		r = e.record()
		return nil
	})
	return r, err
}

func (q *reference) Payload(ctx context.Context, id string) (loaded *event.Event, err error) {
	err = q.do(ctx, func() error {
		switch e := q.model.find(id); {
		case e == nil:
			return queue.ErrNotFound
		case !e.payload:
			return queue.ErrNoPayload
		default:
			loaded = e.Event
			return nil
		}
	})
	return loaded, err
}
