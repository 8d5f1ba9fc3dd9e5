package queuetest

import (
	"errors"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Engine is a queue under test and what a test can do to it.
type Engine struct {
	queue.Queue

	// Flush returns when every outcome that was settled before is durable.
	Flush func()

	// Sweep returns when everything is gone whose time is over by the clock.
	Sweep func()

	// Reopen closes the queue and opens the same store again, with the settings.
	Reopen func(s queue.Settings) queue.Queue

	// Crash opens the store again as a process finds it that was killed, with
	// whatever was not durable lost. Nil: the engine cannot.
	Crash func(s queue.Settings) queue.Queue

	// FailWrites has every write to storage fail until it is called with false.
	// Nil: the engine cannot.
	FailWrites func(fail bool)
}

// Open opens an empty store for one test, by the clock's Now and Elapsed. The engine
// is closed by the test or at its end.
type Open func(t testing.TB, s queue.Settings, clock *Clock) *Engine

// Run runs the suite against an engine.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, group := range [][]testCase{
		storing, claiming, settling, failing, retaining, jumping, listing, replaying, purging, counting, progressing,
	} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				s := queue.DefaultSettings()
				if c.settings != nil {
					c.settings(&s)
				}
				clock := NewClock()
				c.test(&harness{T: t, Engine: open(t, s, clock), Clock: clock, settings: s})
			})
		}
	}
	t.Run("model", func(t *testing.T) {
		t.Parallel()
		runModel(t, open)
	})
}

// A testCase is one promise.
type testCase struct {
	name     string
	settings func(*queue.Settings) // changes the defaults; may be nil
	test     func(*harness)
}

// A harness is what a test works with.
type harness struct {
	*testing.T
	*Engine
	*Clock
	settings queue.Settings
}

// reopen closes the queue and opens it again.
func (h *harness) reopen() { h.Queue = h.Engine.Reopen(h.settings) }

// wait sends the clock ahead and has the engine sweep.
func (h *harness) wait(d time.Duration) {
	h.Helper()
	h.settled() // or what was stored before would count as stored after
	h.Advance(d)
	h.Sweep()
}

func (h *harness) store(id string, upstreams ...string) {
	h.Helper()
	if h.storeItem(queue.Item{Event: Event(id, h.Now()), Upstreams: upstreams}) {
		h.Fatalf("Store(%s) is a duplicate, want a new event", id)
	}
}

func (h *harness) quarantine(id string) {
	h.Helper()
	if h.storeItem(queue.Item{Event: Event(id, h.Now()), Quarantined: true, Reason: Reason}) {
		h.Fatalf("Store(%s) is a duplicate, want a new event", id)
	}
}

func (h *harness) storeAgain(id string, upstreams ...string) {
	h.Helper()
	if !h.storeItem(queue.Item{Event: Event(id, h.Now()), Upstreams: upstreams}) {
		h.Fatalf("Store(%s) is a new event, want a duplicate", id)
	}
}

func (h *harness) storeItem(it queue.Item) (duplicate bool) {
	h.Helper()
	r, err := h.Store(h.Context(), it)
	if err != nil {
		h.Fatalf("Store(%s): %v", it.Event.ID, err)
	}
	return r.Duplicate
}

// claim takes up to n first and n retried deliveries.
func (h *harness) claim(upstream string, n int) []queue.Delivery {
	h.Helper()
	return h.claimed(upstream, queue.Want{First: n, Retry: n}).Deliveries
}

// settled waits until what was stored can be claimed, by counting it.
func (h *harness) settled() {
	h.Helper()
	if _, err := h.Stats(); err != nil {
		h.Fatalf("Stats: %v", err)
	}
}

func (h *harness) claimed(upstream string, want queue.Want) queue.Claimed {
	h.Helper()
	h.settled()
	c, err := h.Claim(upstream, h.Now(), want)
	if err != nil {
		h.Fatalf("Claim(%s): %v", upstream, err)
	}
	return c
}

// claimOne takes the delivery of the one event that is due.
func (h *harness) claimOne(upstream, id string) queue.Delivery {
	h.Helper()
	ds := h.claim(upstream, 10)
	h.wantIDs(ds, id)
	return ds[0]
}

func (h *harness) wantIDs(ds []queue.Delivery, want ...string) {
	h.Helper()
	got := make([]string, len(ds))
	for i, d := range ds {
		got[i] = d.EventID
	}
	if len(got) != len(want) {
		h.Fatalf("claimed %v, want %v", got, want)
	}
	for i := range want {
		if got[i] != want[i] {
			h.Fatalf("claimed %v, want %v", got, want)
		}
	}
}

// settle records an outcome and waits until it is durable.
func (h *harness) settle(d queue.Delivery, o queue.Outcome) {
	h.Helper()
	o.Delivery, o.At = d, h.Now()
	h.Queue.Settle(o)
	h.Flush()
}

func (h *harness) deliver(d queue.Delivery) {
	h.Helper()
	h.settle(d, queue.Outcome{State: queue.Delivered, Result: queue.Success, Status: 200, Used: true})
}

func (h *harness) kill(d queue.Delivery) {
	h.Helper()
	h.settle(d, queue.Outcome{State: queue.Dead, Result: queue.Failure, Status: 422, Used: true})
}

func (h *harness) retry(d queue.Delivery, in time.Duration) {
	h.Helper()
	h.settle(d, queue.Outcome{State: queue.Pending, Result: queue.Failure, Status: 500, Used: true, Next: h.Now().Add(in)})
}

func (h *harness) record(id string) queue.Record {
	h.Helper()
	r, err := h.Queue.Event(h.Context(), id)
	if err != nil {
		h.Fatalf("Event(%s): %v", id, err)
	}
	return r
}

func (h *harness) stats() queue.Stats {
	h.Helper()
	s, err := h.Stats()
	if err != nil {
		h.Fatalf("Stats: %v", err)
	}
	return s
}

func (h *harness) wantErr(what string, err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("%s: %v, want an error that is %q", what, err, want)
	}
}

func (h *harness) wantPayload(id string, want error) {
	h.Helper()
	e, err := h.Payload(h.Context(), id)
	if want != nil {
		h.wantErr("Payload("+id+")", err, want)
		return
	}
	if err != nil || e.ID != id {
		h.Fatalf("Payload(%s): %v, %v", id, e, err)
	}
}
