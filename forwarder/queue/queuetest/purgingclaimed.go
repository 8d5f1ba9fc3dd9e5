package queuetest

import (
	"errors"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// purgingClaimed has the cases of purges of claimed deliveries.
var purgingClaimed = []testCase{
	{name: "purge: a claimed event waits for its upstream", test: func(h *harness) {
		h.store("a", "ehr")
		h.claimOne("ehr", "a")
		h.purgeRefused(queue.PurgeSelection{IDs: []string{"a"}}, queue.ErrPending)
	}},
	{name: "purge: a late outcome changes nothing", test: func(h *harness) {
		for _, s := range []queue.PurgeSelection{{IDs: []string{"a"}, Force: true}, {Upstream: "ehr"}} {
			h.store("a", "ehr")
			d := h.claimOne("ehr", "a")
			h.purge(s, 1)
			_, err := h.Load(d)
			h.wantErr("Load of a purged delivery", err, queue.ErrNotFound)
			h.retry(d, 0)
			h.wantGone("a")
			h.wantIDs(h.claim("ehr", 10))
			h.wantEmpty()
		}
	}},
	{name: "purge: a claimed delivery of an event that stays", test: func(h *harness) {
		h.store("a", "ehr", "old")
		d := h.claimOne("old", "a")
		h.purge(queue.PurgeSelection{Upstream: "old"}, 1)
		_, err := h.Load(d)
		h.wantErr("Load of a purged delivery", err, queue.ErrNotFound)
		check := func() {
			h.Helper()
			h.wantStates("a", queue.Pending, "ehr pending")
			h.wantIDs(h.claim("old", 10))
			if s := h.stats(); len(s.Upstreams) != 1 || s.Upstreams["ehr"].InFlight != 0 {
				h.Fatalf("stats %+v, want ehr's only", s)
			}
		}
		check()
		h.retry(d, 0)
		check()
		h.reopen()
		check()
		h.deliver(h.claimOne("ehr", "a"))
	}},
	{name: "purge: the late outcome of an event whose id was stored again", test: func(h *harness) {
		h.store("a", "ehr")
		late := h.claimOne("ehr", "a")
		h.purge(queue.PurgeSelection{Upstream: "ehr"}, 1)
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		h.deliver(late)
		h.wantStates("a", queue.Pending, "ehr pending")
		if s := h.stats().Upstreams["ehr"]; s.InFlight != 1 {
			h.Fatalf("%d in flight, want the new one", s.InFlight)
		}
		h.Release(late)
		h.wantIDs(h.claim("ehr", 10))
		h.deliver(d)
		h.wantStates("a", queue.Delivered, "ehr delivered")
	}},
	{name: "purge: a claim that a purge ends is not counted", test: func(h *harness) {
		h.store("a", "ehr")
		h.store("b", "ehr")
		h.claim("ehr", 1)
		h.purge(queue.PurgeSelection{IDs: []string{"a"}, Force: true}, 1)
		if s := h.stats().Upstreams["ehr"]; s.Pending != 1 || s.InFlight != 0 {
			h.Fatalf("stats %+v, want one pending and none in flight", s)
		}
	}},
	{name: "purge: during stores, deliveries and replays", test: purgeDuringTraffic},
}

// purgeDuringTraffic purges one upstream's deliveries while events are stored,
// delivered and replayed. The other upstream's delivery of each event stays, and is
// made once.
func purgeDuringTraffic(h *harness) {
	const events = 300
	ids := numbered("e", events)
	stored := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		defer close(stored)
		h.storeMany(ids, "ehr", "old")
	})
	// work settles deliveries that it claims, until all events are stored and nothing
	// is due.
	work := func(upstream string, settle func(n int, d queue.Delivery)) {
		for n, last := 0, false; ; {
			select {
			case <-stored:
				last = true
			default:
			}
			_, err := h.Stats() // afterwards all stored events are due
			c, claimErr := h.Claim(upstream, h.Now(), queue.Want{First: 7, Retry: 7})
			if err = errors.Join(err, claimErr); err != nil {
				h.Errorf("Claim: %v", err)
				return
			}
			if last && len(c.Deliveries) == 0 {
				return
			}
			for _, d := range c.Deliveries {
				settle(n, d)
				n++
			}
		}
	}
	delivered := make(map[string]int)
	others.Go(func() {
		work("ehr", func(_ int, d queue.Delivery) {
			if _, err := h.Load(d); err != nil {
				h.Errorf("Load(%s): %v", d.EventID, err)
			}
			delivered[d.EventID]++
			h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Delivered, Result: queue.Success, Used: true})
		})
	})
	others.Go(func() {
		work("old", func(n int, d queue.Delivery) {
			o := queue.Outcome{Delivery: d, At: h.Now(), Result: queue.Failure, Used: true, State: queue.Dead}
			switch _, err := h.Load(d); {
			case err != nil && !errors.Is(err, queue.ErrNotFound):
				h.Errorf("Load(%s): %v", d.EventID, err)
			case n%5 == 0:
				o.State, o.Result = queue.Delivered, queue.Success
			case n%5 == 1 && d.Attempts == 0:
				o.State, o.Next = queue.Pending, h.Now()
			case n%5 == 2 && d.Attempts == 0:
				h.Release(d)
				return
			}
			h.Queue.Settle(o)
		})
	})
	purging := func() {
		for _, s := range []queue.PurgeSelection{{State: queue.Dead}, {Upstream: "old"}, {State: queue.Dead, DryRun: true}} {
			if _, err := h.Purge(h.Context(), s); err != nil {
				h.Errorf("Purge(%+v): %v", s, err)
			}
		}
	}
	others.Go(func() {
		for {
			select {
			case <-stored:
				return
			default:
				purging()
				if _, err := h.Replay(h.Context(), queue.ReplaySelection{State: queue.Dead}); err != nil {
					h.Errorf("Replay: %v", err)
				}
			}
		}
	})
	others.Wait()
	h.Flush()
	purging()
	if s := h.stats(); len(s.Upstreams) != 0 || s.Bytes != 0 {
		h.Errorf("stats %+v, want none", s)
	}
	for _, id := range ids {
		if n := delivered[id]; n != 1 {
			h.Errorf("%s was delivered %d times", id, n)
		}
		for _, d := range h.record(id).Deliveries {
			if d.State != queue.Delivered {
				h.Errorf("%s is %s for %s", id, d.State, d.Upstream)
			}
		}
	}
	h.reopen()
	h.wantIDs(h.claim("old", 10))
	h.wantIDs(h.claim("ehr", 10))
}
