package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var deduplicating = []testCase{
	{name: "dedupe: an id that is in the store is a duplicate", test: func(h *harness) {
		h.store("a", "ehr")
		h.storeAgain("a", "ehr", "warehouse")
		if n := len(h.record("a").Deliveries); n != 1 {
			h.Fatalf("the duplicate changed the fan-out: %d deliveries, want 1", n)
		}
		h.reopen()
		h.storeAgain("a", "ehr")
		h.wantIDs(h.claim("ehr", 10), "a")
	}},
	{name: "dedupe: an event that is not delivered is a duplicate beyond the window", test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		aside := []queue.State{queue.Quarantined, queue.Unrouted, queue.Unconfirmed}
		for _, s := range aside {
			h.setAside(string(s), s)
		}
		h.wait(2 * h.settings.DedupeWindow)
		for _, s := range aside {
			h.storeAgain(string(s), "ehr")
		}
		h.storeAgain("a", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		h.storeAgain("a", "ehr")
		h.fail(h.claimOne("warehouse", "a"))
		h.wait(2 * h.settings.DedupeWindow)
		h.storeAgain("a", "ehr")
		h.wantStates("a", queue.Dead, "ehr delivered", "warehouse dead")
	}},
	{name: "dedupe: a trace within the window is a duplicate", test: func(h *harness) {
		h.store("a", "ehr")
		h.store("no upstream")
		h.wait(time.Hour)
		h.deliver(h.claimOne("ehr", "a")) // the window begins at the receipt
		h.wait(h.settings.DedupeWindow - time.Hour - time.Second)
		h.reopen()
		h.storeAgain("a", "ehr")
		h.storeAgain("no upstream", "ehr")
		h.wantLeft("no upstream", "a")
	}},
	{name: "dedupe: a new event replaces a trace that is older than the window", test: func(h *harness) {
		h.store("a", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		h.store("no upstream")
		h.store("b", "ehr")
		h.wait(h.settings.DedupeWindow)
		received := h.Now()
		h.store("a", "ehr", "warehouse")
		h.store("no upstream", "warehouse")
		check := func() {
			h.Helper()
			h.wantLeft("no upstream", "a", "b")
			h.wantStates("a", queue.Pending, "ehr pending", "warehouse pending")
			h.wantStates("no upstream", queue.Pending, "warehouse pending")
			if got := h.record("a"); !got.ReceivedAt.Equal(received) || len(delivery(got, "ehr").History) != 0 {
				h.Fatalf("record %+v, want the new event's", got)
			}
			if got := h.list(queue.Filter{Subject: "subject-a", Limit: 10}); !slices.Equal(got, []string{"a"}) {
				h.Fatalf("%v are listed by subject, want the new event", got)
			}
			if got := h.list(queue.Filter{State: queue.Delivered, Limit: 10}); len(got) != 0 {
				h.Fatalf("%v are listed as delivered, want none", got)
			}
			h.wantPayload("a", nil)
		}
		check()
		h.reopen()
		check()
		h.wantIDs(h.claim("ehr", 10), "b", "a")
		h.wait(h.settings.HistoryRetention) // the end of the trace's retention
		check()
		h.storeAgain("a", "ehr")
	}},
	{name: "dedupe: a replaced trace leaves no id", test: func(h *harness) {
		h.store("a", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		h.wait(h.settings.DedupeWindow)
		h.store("a", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		h.storeAgain("a", "ehr")
		if n, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{"a"}}); n != 1 || err != nil {
			h.Fatalf("Purge: %d, %v; want 1", n, err)
		}
		h.wantGone("a")
		h.store("a", "ehr")
	}},
	{
		name:     "dedupe: a delivered event that is replayed is a duplicate again",
		settings: func(s *queue.Settings) { s.KeepDelivered = 48 * time.Hour },
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.store("b", "ehr")
			h.deliver(h.claimOne("ehr", "b"))
			h.wait(h.settings.DedupeWindow)
			if _, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"a"}}); err != nil {
				h.Fatal(err)
			}
			h.storeAgain("a", "ehr")
			h.store("b", "ehr")
			h.wantIDs(h.claim("ehr", 10), "a", "b")
		},
	},
	{
		name:     "dedupe: an id is known for the window after the end of its retention",
		settings: func(s *queue.Settings) { s.HistoryRetention, s.DeadRetention = time.Hour, time.Hour },
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.store("dead", "ehr")
			h.fail(h.claimOne("ehr", "dead"))
			h.setAside("aside", queue.Unrouted)
			all := []string{"a", "dead", "aside"}
			h.wait(time.Hour)
			h.wantLeft()
			h.reopen()
			for _, id := range all {
				h.storeAgain(id, "ehr")
			}
			h.wait(h.settings.DedupeWindow - time.Hour - time.Nanosecond)
			for _, id := range all {
				h.storeAgain(id, "ehr")
			}
			h.Advance(time.Nanosecond) // the engine has not swept yet
			for _, id := range all {
				h.store(id, "ehr")
			}
			h.wait(h.settings.DedupeWindow) // the old entry must not delete the new one
			for _, id := range all {
				h.storeAgain(id, "ehr")
			}
		},
	},
	{name: "dedupe: one of many concurrent stores of an id is new", test: func(h *harness) {
		storeAtOnce := func() {
			h.Helper()
			var stored atomic.Int64
			var wg sync.WaitGroup
			for range 32 {
				wg.Go(func() {
					r, err := h.Store(h.Context(), queue.Item{Event: Event("a", h.Now()), Upstreams: []string{"ehr"}})
					if err != nil {
						h.Errorf("Store: %v", err)
					}
					if !r.Duplicate {
						stored.Add(1)
					}
				})
			}
			wg.Wait()
			if n := stored.Load(); n != 1 {
				h.Fatalf("%d of the stores are new, want 1", n)
			}
		}
		storeAtOnce()
		h.deliver(h.claimOne("ehr", "a"))
		h.wait(h.settings.DedupeWindow)
		storeAtOnce() // replaces the trace
		h.wantIDs(h.claim("ehr", 10), "a")
		h.wantLeft("a")
	}},
	{name: "dedupe: a duplicate and an outcome of its event that become durable together", test: func(h *harness) {
		for _, state := range []queue.State{queue.Delivered, queue.Dead} {
			id := string(state)
			h.store(id, "ehr")
			d := h.claimOne("ehr", id)
			h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: state, Result: queue.Failure, Used: true})
			h.storeAgain(id, "ehr") // which waits for nothing
			h.Flush()
			h.wantStates(id, state, "ehr "+id)
			h.wantIDs(h.claim("ehr", 10))
		}
	}},
	{name: "dedupe: similar ids are different", test: func(h *harness) {
		ids := []string{"a", "A", "a ", "ä", "a%", "a_"}
		for _, id := range ids {
			h.store(id, "ehr")
		}
		for _, id := range ids {
			h.storeAgain(id, "ehr")
			if got := h.record(id).ID; got != id {
				h.Fatalf("Event(%q) is the record of %q", id, got)
			}
		}
		if got := h.list(queue.Filter{Limit: 100}); len(got) != len(ids) {
			h.Fatalf("%q are listed, want %d: %s", got, len(ids), fmt.Sprint(ids))
		}
	}},
}
