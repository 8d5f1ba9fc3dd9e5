package queuetest

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A harness is the test of one case, with its engine and its clock.
type harness struct {
	testing.TB
	*Engine
	*Clock
	ctx      context.Context //nolint:containedctx // a test's context is part of it
	settings queue.Settings
}

// Context returns a context that ends with the case or after the case's time limit.
func (h *harness) Context() context.Context { return h.ctx }

// reopen closes the queue and opens it again.
func (h *harness) reopen() { h.Queue = h.Engine.Reopen(h.settings) }

// wait advances the clock and makes the engine sweep.
func (h *harness) wait(d time.Duration) {
	h.Helper()
	h.stats() // otherwise the engine might still be processing earlier stores
	h.Advance(d)
	h.Sweep()
}

// store stores a new event.
func (h *harness) store(id string, upstreams ...string) {
	h.Helper()
	h.storeItem(queue.Item{Event: Event(id, h.Now()), Upstreams: upstreams}, false)
}

// storeAgain stores an event that is a duplicate.
func (h *harness) storeAgain(id string, upstreams ...string) {
	h.Helper()
	h.storeItem(queue.Item{Event: Event(id, h.Now()), Upstreams: upstreams}, true)
}

// setAside stores a new event that is set aside in the state.
func (h *harness) setAside(id string, s queue.State) {
	h.Helper()
	h.storeItem(asideItem(Event(id, h.Now()), s), false)
}

func (h *harness) storeItem(it queue.Item, duplicate bool) {
	h.Helper()
	r, err := h.Store(h.Context(), it)
	if err != nil || r.Duplicate != duplicate {
		h.Fatalf("Store(%s): %+v, %v; want duplicate %t", it.Event.ID, r, err, duplicate)
	}
}

// tryStore calls Store with a time limit.
func (h *harness) tryStore(id string, within time.Duration) error {
	ctx, cancel := context.WithTimeout(h.Context(), within)
	defer cancel()
	_, err := h.Store(ctx, queue.Item{Event: Event(id, h.Now()), Upstreams: []string{"ehr"}})
	return err
}

// storeMany stores events from several goroutines at once, by default for ehr.
func (h *harness) storeMany(ids []string, upstreams ...string) {
	h.Helper()
	if len(upstreams) == 0 {
		upstreams = []string{"ehr"}
	}
	var wg sync.WaitGroup
	const writers = 32
	for w := range writers {
		wg.Go(func() {
			for i := w; i < len(ids); i += writers {
				if _, err := h.Store(h.Context(), queue.Item{Event: Event(ids[i], h.Now()), Upstreams: upstreams}); err != nil {
					h.Errorf("Store(%s): %v", ids[i], err)
				}
			}
		})
	}
	wg.Wait()
}

// storeManyDead stores n events and makes all of their deliveries dead.
func (h *harness) storeManyDead(n int) []string {
	h.Helper()
	ids := numbered("e", n)
	h.storeMany(ids)
	for _, d := range h.claim("ehr", n) {
		h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Dead, Result: queue.Failure, Used: true})
	}
	h.Flush()
	return ids
}

// numbered returns n ids.
func numbered(prefix string, n int) []string {
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(prefix, i)
	}
	return ids
}

// claim claims up to n first deliveries and up to n retries.
func (h *harness) claim(upstream string, n int) []queue.Delivery {
	h.Helper()
	return h.claimed(upstream, queue.Want{First: n, Retry: n}).Deliveries
}

func (h *harness) claimed(upstream string, want queue.Want) queue.Claimed {
	h.Helper()
	h.stats() // afterwards all stored events are due
	c, err := h.Claim(upstream, h.Now(), want)
	if err != nil {
		h.Fatalf("Claim(%s): %v", upstream, err)
	}
	return c
}

// claimOne claims the delivery of the only event that is due.
func (h *harness) claimOne(upstream, id string) queue.Delivery {
	h.Helper()
	ds := h.claim(upstream, 10)
	h.wantIDs(ds, id)
	return ds[0]
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

// fail makes a delivery dead.
func (h *harness) fail(d queue.Delivery) {
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

// list reads all pages of a listing and returns the ids.
func (h *harness) list(f queue.Filter) []string {
	h.Helper()
	ids := []string{}
	for {
		p, err := h.Events(h.Context(), f)
		if err != nil {
			h.Fatalf("Events(%+v): %v", f, err)
		}
		if len(p.Records) > f.Limit || (len(p.Records) == 0 && p.Next != "") {
			h.Fatalf("Events(%+v): a page of %d records with cursor %q", f, len(p.Records), p.Next)
		}
		for _, r := range p.Records {
			ids = append(ids, r.ID)
		}
		if p.Next == "" {
			return ids
		}
		f.Cursor = p.Next
	}
}

// has reports whether the engine has a hook, and logs if it has not.
func (h *harness) has(hook bool, name string) bool {
	if !hook {
		h.Logf("not tested: this engine has no %s", name)
	}
	return hook
}
