package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// purge purges, after a dry run that says the same.
func (h *harness) purge(s queue.PurgeSelection, want int) {
	h.Helper()
	for _, s.DryRun = range []bool{true, false} {
		got, err := h.Purge(h.Context(), s)
		if err != nil || got != want {
			h.Fatalf("Purge(%+v): %d, %v; want %d", s, got, err, want)
		}
	}
}

// purgeRefused has a purge, and a dry run of it, refused.
func (h *harness) purgeRefused(s queue.PurgeSelection, want error) {
	h.Helper()
	for _, s.DryRun = range []bool{true, false} {
		_, err := h.Purge(h.Context(), s)
		h.wantErr(fmt.Sprintf("Purge(%+v)", s), err, want)
	}
}

// left checks which events are in the store, newest first.
func (h *harness) left(want ...string) {
	h.Helper()
	if got := h.list(queue.Filter{Limit: 100}); !slices.Equal(got, want) {
		h.Fatalf("%v are left, want %v", got, want)
	}
}

// states checks where an event's deliveries stand, each as "upstream state".
func (h *harness) states(id string, want ...string) {
	h.Helper()
	deliveries := h.record(id).Deliveries
	got := make([]string, len(deliveries))
	for i, d := range deliveries {
		got[i] = fmt.Sprint(d.Upstream, " ", d.State)
	}
	if !slices.Equal(got, want) {
		h.Fatalf("%s is %v, want %v", id, got, want)
	}
}

var purging = []testCase{
	{name: "purge: those named in whatever state", test: func(h *harness) {
		everyState(h)
		ids := h.list(queue.Filter{Limit: 100})
		h.purge(queue.PurgeSelection{IDs: append(slices.Clone(ids), ids[0]), Force: true}, len(ids))
		for _, id := range ids {
			h.gone(id)
		}
		s := h.stats()
		if s.Bytes != 0 || s.Quarantined != 0 || len(s.Upstreams) != 0 {
			h.Fatalf("stats %+v, want none", s)
		}
		h.reopen()
		h.Advance(time.Hour)
		h.wantIDs(h.claim("ehr", 10))
		h.wantIDs(h.claim("warehouse", 10))
	}},
	{name: "purge: all or none of those named", test: func(h *harness) {
		everyState(h)
		all := h.list(queue.Filter{Limit: 100})
		h.purgeRefused(queue.PurgeSelection{IDs: []string{"dead", "unknown"}}, queue.ErrNotFound)
		h.purgeRefused(queue.PurgeSelection{IDs: []string{"dead", "unknown"}, Force: true}, queue.ErrNotFound)
		for _, waits := range []string{"retry", "mixed", "first"} {
			h.purgeRefused(queue.PurgeSelection{IDs: []string{"dead", waits}}, queue.ErrPending)
		}
		h.left(all...)
		h.wantPayload("dead", nil)
		h.purge(queue.PurgeSelection{IDs: []string{"dead", "delivered", "quarantined", "nobody"}}, 4)
		h.left("first", "mixed", "retry")
	}},
	{name: "purge: a claimed event waits for its upstream", test: func(h *harness) {
		h.store("a", "ehr")
		h.claimOne("ehr", "a")
		h.purgeRefused(queue.PurgeSelection{IDs: []string{"a"}}, queue.ErrPending)
	}},
	{name: "purge: an id is forgotten with its event", test: func(h *harness) {
		for _, s := range []queue.PurgeSelection{{IDs: []string{"a"}}, {Dead: true}, {Upstream: "ehr"}} {
			h.store("a", "ehr")
			h.kill(h.claimOne("ehr", "a"))
			h.purge(s, 1)
			h.gone("a")
		}
		h.quarantine("a")
		h.purge(queue.PurgeSelection{Quarantined: true}, 1)
		h.store("a", "ehr")
		h.reopen()
		h.storeAgain("a", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		h.reopen()
		h.purge(queue.PurgeSelection{IDs: []string{"a"}}, 1)
		h.reopen()
		h.store("a", "ehr")
		h.claimOne("ehr", "a")
	}},
	{name: "purge: dead deliveries only", test: func(h *harness) {
		everyState(h)
		h.store("two", "warehouse", "ehr")
		for _, d := range append(h.claim("warehouse", 10), h.claim("ehr", 10)...) {
			if d.EventID == "two" {
				h.kill(d)
			} else {
				h.Release(d)
			}
		}
		h.purge(queue.PurgeSelection{Dead: true}, 3)
		h.left("nobody", "first", "mixed", "quarantined", "retry", "delivered")
		h.states("mixed", "ehr pending")
		h.wantPayload("mixed", nil)
		h.purge(queue.PurgeSelection{Dead: true}, 0)
		h.reopen()
		if s := h.stats(); s.Quarantined != 1 || s.Upstreams["ehr"].Pending != 2 || s.Upstreams["ehr"].Dead != 0 || s.Upstreams["warehouse"].Dead != 0 {
			h.Fatalf("stats %+v, want what was not dead", s)
		}
		h.deliver(h.claimOne("ehr", "mixed"))
		h.wantPayload("mixed", queue.ErrNoPayload)
	}},
	{name: "purge: what is left of an event has ended with the purge", settings: func(s *queue.Settings) {
		s.HistoryRetention, s.KeepDelivered = time.Hour, time.Minute
		s.DeadRetention = 24*time.Hour + 30*time.Minute // ends while the trace is kept
	}, test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		h.deliver(h.claimOne("ehr", "a"))
		h.kill(h.claimOne("warehouse", "a"))
		h.wait(24 * time.Hour)
		h.purge(queue.PurgeSelection{Dead: true}, 1)
		h.states("a", "ehr delivered")
		h.wait(time.Minute - time.Nanosecond)
		h.wantPayload("a", nil)
		h.wait(time.Nanosecond)
		h.wantPayload("a", queue.ErrNoPayload)
		if s := h.stats(); s.Bytes != 0 || len(s.Upstreams) != 0 {
			h.Fatalf("stats %+v, want none", s)
		}
		h.wait(time.Hour - time.Minute - time.Nanosecond)
		h.states("a", "ehr delivered")
		h.wait(time.Nanosecond)
		h.gone("a")
	}},
	{name: "purge: the quarantined", test: func(h *harness) {
		everyState(h)
		h.purge(queue.PurgeSelection{Quarantined: true}, 1)
		h.left("nobody", "first", "mixed", "retry", "dead", "delivered")
		h.purge(queue.PurgeSelection{Quarantined: true}, 0)
		if s := h.stats(); s.Quarantined != 0 {
			h.Fatalf("stats %+v, want none quarantined", s)
		}
	}},
	{name: "purge: what was received before a time", test: func(h *harness) {
		h.store("old", "ehr")
		h.quarantine("old too")
		h.Advance(time.Minute)
		before := h.Now()
		h.store("new", "ehr")
		h.quarantine("new too")
		h.Advance(time.Minute)
		for _, d := range h.claim("ehr", 2) {
			h.kill(d) // both after the time
		}
		h.purge(queue.PurgeSelection{Dead: true, Before: before}, 1)
		h.left("new too", "new", "old too")
		h.purge(queue.PurgeSelection{Quarantined: true, Before: before}, 1)
		h.left("new too", "new")
	}},
	{name: "purge: an upstream's pending and dead deliveries", test: func(h *harness) {
		h.store("delivered", "old", "ehr")
		h.deliver(h.claimOne("old", "delivered"))
		h.store("dead", "old", "ehr")
		h.kill(h.claimOne("old", "dead"))
		h.store("retry", "old", "ehr")
		h.retry(h.claimOne("old", "retry"), time.Hour)
		h.store("only dead", "old")
		h.kill(h.claimOne("old", "only dead"))
		h.store("both", "ehr", "old")
		h.store("only", "old")
		h.store("other", "ehr")
		h.quarantine("quarantined")
		h.purge(queue.PurgeSelection{Upstream: "old"}, 5)
		h.left("quarantined", "other", "both", "retry", "dead", "delivered")
		for _, id := range []string{"both", "retry", "dead"} {
			h.states(id, "ehr pending")
		}
		h.states("delivered", "old delivered", "ehr pending")
		h.purge(queue.PurgeSelection{Upstream: "old"}, 0)
		h.purge(queue.PurgeSelection{Upstream: "nobody"}, 0)
		h.reopen()
		if s := h.stats(); len(s.Upstreams) != 1 || s.Upstreams["ehr"].Pending != 5 || s.Quarantined != 1 {
			h.Fatalf("stats %+v, want what waits for ehr", s)
		}
		h.Advance(time.Hour)
		h.wantIDs(h.claim("old", 10))
		for _, d := range h.claim("ehr", 10) {
			h.deliver(d)
			h.wantPayload(d.EventID, queue.ErrNoPayload)
		}
	}},
	{name: "purge: an event whose other deliveries have ended, and were waiting for nobody else", test: func(h *harness) {
		h.store("delivered", "ehr", "old")
		h.deliver(h.claimOne("ehr", "delivered"))
		h.store("dead", "ehr", "old")
		h.kill(h.claimOne("ehr", "dead"))
		h.wait(2 * h.settings.DeadRetention) // the other upstream waits, and so both are kept
		h.wantPayload("delivered", nil)
		h.wantPayload("dead", nil)
		h.purge(queue.PurgeSelection{Upstream: "old"}, 2)
		h.states("delivered", "ehr delivered")
		h.wantPayload("delivered", queue.ErrNoPayload)
		h.wantPayload("dead", nil)
		h.wait(h.settings.HistoryRetention)
		h.left("dead")
		h.wait(h.settings.DeadRetention - h.settings.HistoryRetention)
		h.left()
	}},
	{name: "purge: an outcome that comes late changes nothing", test: func(h *harness) {
		for _, s := range []queue.PurgeSelection{{IDs: []string{"a"}, Force: true}, {Upstream: "ehr"}} {
			h.store("a", "ehr")
			d := h.claimOne("ehr", "a")
			h.purge(s, 1)
			_, err := h.Load(d)
			h.wantErr("Load of what was purged", err, queue.ErrNotFound)
			h.retry(d, 0)
			h.gone("a")
			h.wantIDs(h.claim("ehr", 10))
			if s := h.stats(); len(s.Upstreams) != 0 || s.Bytes != 0 {
				h.Fatalf("stats %+v, want none", s)
			}
		}
	}},
	{name: "purge: a claimed delivery of an event that stays", test: func(h *harness) {
		h.store("a", "ehr", "old")
		d := h.claimOne("old", "a")
		h.purge(queue.PurgeSelection{Upstream: "old"}, 1)
		_, err := h.Load(d)
		h.wantErr("Load of what was purged", err, queue.ErrNotFound)
		check := func() {
			h.Helper()
			h.states("a", "ehr pending")
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
	{name: "purge: the late outcome of an event whose id was taken again", test: func(h *harness) {
		h.store("a", "ehr")
		late := h.claimOne("ehr", "a")
		h.purge(queue.PurgeSelection{Upstream: "ehr"}, 1)
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		h.deliver(late)
		h.states("a", "ehr pending")
		if s := h.stats().Upstreams["ehr"]; s.InFlight != 1 {
			h.Fatalf("%d in flight, want the new one", s.InFlight)
		}
		h.Release(late)
		h.wantIDs(h.claim("ehr", 10))
		h.deliver(d)
		h.states("a", "ehr delivered")
	}},
	{name: "purge: a claim that ends by a purge counts no more", test: func(h *harness) {
		h.store("a", "ehr")
		h.store("b", "ehr")
		h.claim("ehr", 1)
		h.purge(queue.PurgeSelection{IDs: []string{"a"}, Force: true}, 1)
		if s := h.stats().Upstreams["ehr"]; s.Pending != 1 || s.InFlight != 0 {
			h.Fatalf("stats %+v, want one pending and none in flight", s)
		}
	}},
	{name: "purge: beside stores, deliveries and replays", test: purgeBesideTraffic},
	{name: "purge: a selection is of exactly one kind", test: func(h *harness) {
		h.store("a", "ehr")
		for _, s := range []queue.PurgeSelection{
			{},
			{Force: true},
			{Before: h.Now()},
			{IDs: []string{"a"}, Dead: true},
			{Dead: true, Quarantined: true},
			{Dead: true, Upstream: "ehr"},
			{Dead: true, Force: true},
			{Upstream: "ehr", Before: h.Now()},
			{IDs: []string{"a"}, Before: h.Now()},
		} {
			h.purgeRefused(s, queue.ErrInvalid)
		}
		h.left("a")
	}},
	{name: "purge: more events than one transaction takes", test: func(h *harness) {
		ids := make([]string, 450)
		for i := range ids {
			ids[i] = fmt.Sprint("e", i)
		}
		h.storeMany(ids)
		for _, d := range h.claim("ehr", len(ids)) {
			h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Dead, Result: queue.Failure, Used: true})
		}
		h.Flush()
		h.purge(queue.PurgeSelection{Dead: true}, len(ids))
		h.left()
	}},
}

// purgeBesideTraffic purges one upstream's deliveries while all goes on. What is left
// of each event is the other's, which is delivered once.
func purgeBesideTraffic(h *harness) {
	const events = 300
	ids := make([]string, events)
	for i := range ids {
		ids[i] = fmt.Sprint("e", i)
	}
	stored := make(chan struct{})
	var others sync.WaitGroup
	others.Go(func() {
		defer close(stored)
		h.storeMany(ids, "ehr", "old")
	})
	// work settles what it claims, until everything is stored and nothing is due.
	work := func(upstream string, settle func(n int, d queue.Delivery)) {
		for n, last := 0, false; ; {
			select {
			case <-stored:
				last = true
			default:
			}
			_, err := h.Stats() // what is stored is due then
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
		for _, s := range []queue.PurgeSelection{{Dead: true}, {Upstream: "old"}, {Dead: true, DryRun: true}} {
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
				if _, err := h.Replay(h.Context(), queue.ReplaySelection{Dead: true}); err != nil {
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

var counting = []testCase{
	{name: "stats: what is in the store", test: func(h *harness) {
		h.Advance(time.Minute)
		oldest := h.Now()
		h.store("a", "ehr")
		h.retry(h.claimOne("ehr", "a"), time.Minute)
		h.Advance(time.Second)
		h.store("b", "ehr", "warehouse")
		h.store("c", "ehr")
		h.kill(h.claimed("warehouse", queue.Want{First: 1}).Deliveries[0])
		h.claimed("ehr", queue.Want{First: 1})
		h.quarantine("q")
		check := func(inFlight int64) {
			h.Helper()
			s := h.stats()
			want := map[string]queue.UpstreamStats{
				"ehr":       {Pending: 3, InFlight: inFlight, OldestPending: oldest},
				"warehouse": {Dead: 1},
			}
			if fmt.Sprint(s.Upstreams) != fmt.Sprint(want) || s.Quarantined != 1 || s.MaxBytes != h.settings.MaxSize || s.Bytes <= 0 {
				h.Fatalf("stats %+v, want upstreams %+v and one quarantined", s, want)
			}
		}
		check(1)
		before := h.stats().Bytes
		h.reopen()
		check(0)
		if after := h.stats().Bytes; after != before {
			h.Fatalf("%d bytes after reopening, want %d", after, before)
		}
	}},
}
