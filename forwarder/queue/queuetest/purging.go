package queuetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// purge purges, after a dry run that must return the same.
func (h *harness) purge(s queue.PurgeSelection, want int) {
	h.Helper()
	for _, s.DryRun = range []bool{true, false} {
		got, err := h.Purge(h.Context(), s)
		if err != nil || got != want {
			h.Fatalf("Purge(%+v): %d, %v; want %d", s, got, err, want)
		}
	}
}

// purgeRefused checks that a purge and a dry run of it return the error.
func (h *harness) purgeRefused(s queue.PurgeSelection, want error) {
	h.Helper()
	for _, s.DryRun = range []bool{true, false} {
		_, err := h.Purge(h.Context(), s)
		h.wantErr(fmt.Sprintf("Purge(%+v)", s), err, want)
	}
}

var purging = []testCase{
	{name: "purge: events by id in any state", test: func(h *harness) {
		everyState(h)
		ids := h.list(queue.Filter{Limit: 100})
		h.purge(queue.PurgeSelection{IDs: append(slices.Clone(ids), ids[0]), Force: true}, len(ids))
		for _, id := range ids {
			h.wantGone(id)
		}
		h.wantEmpty()
		h.reopen()
		h.Advance(time.Hour)
		h.wantIDs(h.claim("ehr", 10))
		h.wantIDs(h.claim("warehouse", 10))
	}},
	{name: "purge: by id all or none", test: func(h *harness) {
		everyState(h)
		all := h.list(queue.Filter{Limit: 100})
		h.purgeRefused(queue.PurgeSelection{IDs: []string{"dead", "unknown"}}, queue.ErrNotFound)
		h.purgeRefused(queue.PurgeSelection{IDs: []string{"dead", "unknown"}, Force: true}, queue.ErrNotFound)
		for _, waits := range []string{"retry", "mixed", "first"} {
			h.purgeRefused(queue.PurgeSelection{IDs: []string{"dead", waits}}, queue.ErrPending)
		}
		h.wantLeft(all...)
		h.wantPayload("dead", nil)
		h.purge(queue.PurgeSelection{IDs: []string{"dead", "delivered", "quarantined", "unrouted", "unconfirmed", "no upstream"}}, 6)
		h.wantLeft("first", "mixed", "retry")
	}},
	{name: "purge: an id is forgotten with its event", test: func(h *harness) {
		for _, s := range []queue.PurgeSelection{{IDs: []string{"a"}}, {State: queue.Dead}, {Upstream: "ehr"}} {
			h.store("a", "ehr")
			h.fail(h.claimOne("ehr", "a"))
			h.purge(s, 1)
			h.wantGone("a")
		}
		for _, s := range []queue.State{queue.Quarantined, queue.Unrouted, queue.Unconfirmed} {
			h.setAside("a", s)
			h.purge(queue.PurgeSelection{State: s}, 1)
			h.setAside("a", s)
			h.purge(queue.PurgeSelection{IDs: []string{"a"}}, 1)
		}
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
				h.fail(d)
			} else {
				h.Release(d)
			}
		}
		h.purge(queue.PurgeSelection{State: queue.Dead}, 3)
		h.wantLeft("no upstream", "first", "mixed", "unconfirmed", "unrouted", "quarantined", "retry", "delivered")
		h.wantStates("mixed", queue.Pending, "ehr pending")
		h.wantPayload("mixed", nil)
		h.purge(queue.PurgeSelection{State: queue.Dead}, 0)
		h.reopen()
		if s := h.stats(); s.Quarantined != 1 || s.Unrouted != 1 || s.Unconfirmed != 1 || s.Upstreams["ehr"].Pending != 2 || s.Upstreams["ehr"].Dead != 0 || s.Upstreams["warehouse"].Dead != 0 {
			h.Fatalf("stats %+v, want only deliveries that were not dead", s)
		}
		h.deliver(h.claimOne("ehr", "mixed"))
		h.wantPayload("mixed", queue.ErrNoPayload)
	}},
	{name: "purge: events that are set aside, by state", test: func(h *harness) {
		everyState(h)
		left := h.list(queue.Filter{Limit: 100})
		counted := h.stats()
		for _, state := range []queue.State{queue.Unrouted, queue.Quarantined, queue.Unconfirmed} {
			h.purge(queue.PurgeSelection{State: state, Before: h.Now()}, 0)
			h.purge(queue.PurgeSelection{State: state}, 1)
			left = slices.DeleteFunc(left, func(id string) bool { return id == string(state) })
			h.wantLeft(left...)
			h.purge(queue.PurgeSelection{State: state}, 0)
			s := h.stats()
			if n := s.Quarantined + s.Unrouted + s.Unconfirmed; n != counted.Quarantined+counted.Unrouted+counted.Unconfirmed-1 || s.Bytes >= counted.Bytes {
				h.Fatalf("stats %+v after the purge, of %+v before", s, counted)
			}
			counted = s
			h.wantGone(string(state))
			h.reopen()
			h.store(string(state))
			left = append([]string{string(state)}, left...)
		}
		if counted.Quarantined+counted.Unrouted+counted.Unconfirmed != 0 {
			h.Fatalf("stats %+v, want none set aside", counted)
		}
	}},
	{name: "purge: events that were received before a time", test: func(h *harness) {
		states := []queue.State{queue.Dead, queue.Quarantined, queue.Unrouted, queue.Unconfirmed}
		store := func(age string) {
			h.Helper()
			h.store(age+" dead", "ehr")
			for _, s := range states[1:] {
				h.setAside(age+" "+string(s), s)
			}
		}
		store("old")
		h.Advance(time.Minute)
		before := h.Now()
		store("new")
		h.Advance(time.Minute)
		for _, d := range h.claim("ehr", 2) {
			h.fail(d) // both after the time
		}
		for _, s := range states {
			h.purge(queue.PurgeSelection{State: s, Before: before}, 1)
			h.wantGone("old " + string(s))
			h.purge(queue.PurgeSelection{State: s, Before: before}, 0)
		}
		h.wantLeft("new unconfirmed", "new unrouted", "new quarantined", "new dead")
	}},
	{name: "purge: by time of receipt, regardless of the order of the stores", test: func(h *harness) {
		h.store("dead", "ehr")
		h.fail(h.claimOne("ehr", "dead"))
		h.storeItem(asideItem(Event("older", h.Now().Add(-time.Hour)), queue.Unrouted), false)
		h.store("dead too", "ehr")
		h.fail(h.claimOne("ehr", "dead too"))
		h.storeItem(queue.Item{Event: Event("late", h.Now().Add(-time.Hour)), Upstreams: []string{"ehr"}}, false)
		h.fail(h.claimOne("ehr", "late"))
		h.purge(queue.PurgeSelection{State: queue.Dead, Before: h.Now()}, 1)
		h.purge(queue.PurgeSelection{State: queue.Unrouted, Before: h.Now().Add(-time.Hour)}, 0)
		h.purge(queue.PurgeSelection{State: queue.Unrouted, Before: h.Now()}, 1)
		h.wantLeft("dead too", "dead")
	}},
	{name: "purge: an upstream's pending and dead deliveries", test: func(h *harness) {
		h.store("delivered", "old", "ehr")
		h.deliver(h.claimOne("old", "delivered"))
		h.store("dead", "old", "ehr")
		h.fail(h.claimOne("old", "dead"))
		h.store("retry", "old", "ehr")
		h.retry(h.claimOne("old", "retry"), time.Hour)
		h.store("only dead", "old")
		h.fail(h.claimOne("old", "only dead"))
		h.store("both", "ehr", "old")
		h.store("only", "old")
		h.store("other", "ehr")
		h.setAside("quarantined", queue.Quarantined)
		h.purge(queue.PurgeSelection{Upstream: "old"}, 5)
		h.wantLeft("quarantined", "other", "both", "retry", "dead", "delivered")
		for _, id := range []string{"both", "retry", "dead"} {
			h.wantStates(id, queue.Pending, "ehr pending")
		}
		h.wantStates("delivered", queue.Pending, "old delivered", "ehr pending")
		h.purge(queue.PurgeSelection{Upstream: "old"}, 0)
		h.purge(queue.PurgeSelection{Upstream: "unknown"}, 0)
		h.reopen()
		if s := h.stats(); len(s.Upstreams) != 1 || s.Upstreams["ehr"].Pending != 5 || s.Quarantined != 1 {
			h.Fatalf("stats %+v, want only the deliveries to ehr", s)
		}
		h.Advance(time.Hour)
		h.wantIDs(h.claim("old", 10))
		for _, d := range h.claim("ehr", 10) {
			h.deliver(d)
			h.wantPayload(d.EventID, queue.ErrNoPayload)
		}
	}},
	{name: "purge: an event whose other deliveries have ended ends with the purge", test: func(h *harness) {
		h.store("delivered", "ehr", "old")
		h.deliver(h.claimOne("ehr", "delivered"))
		h.store("dead", "ehr", "old")
		h.fail(h.claimOne("ehr", "dead"))
		h.wait(2 * h.settings.DeadRetention) // the other upstream still waits, so both are kept
		h.wantPayload("delivered", nil)
		h.wantPayload("dead", nil)
		h.purge(queue.PurgeSelection{Upstream: "old"}, 2)
		h.wantStates("delivered", queue.Delivered, "ehr delivered")
		h.wantPayload("delivered", queue.ErrNoPayload)
		h.wantPayload("dead", nil)
		h.wait(h.settings.HistoryRetention)
		h.wantLeft("dead")
		h.wait(h.settings.DeadRetention - h.settings.HistoryRetention)
		h.wantLeft()
	}},
	{name: "purge: a selection is of exactly one kind", test: func(h *harness) {
		h.store("a", "ehr")
		for _, s := range []queue.PurgeSelection{
			{},
			{Force: true},
			{Before: h.Now()},
			{IDs: []string{"a"}, State: queue.Dead, Force: true},
			{IDs: []string{"a"}, State: queue.Dead, Upstream: "ehr"},
			{IDs: []string{"a"}, Upstream: "ehr"},
			{IDs: []string{"a"}, Match: all},
			{Upstream: "ehr", Match: all},
			{State: queue.Pending},
			{State: queue.Delivered},
			{State: queue.Unrouted, Upstream: "ehr"},
			{State: queue.Dead, Upstream: "ehr"},
			{State: queue.Dead, Force: true},
			{Upstream: "ehr", Before: h.Now()},
			{IDs: []string{"a"}, Before: h.Now()},
		} {
			h.purgeRefused(s, queue.ErrInvalid)
		}
		h.wantLeft("a")
	}},
	{name: "purge: more events than fit into one transaction", test: func(h *harness) {
		ids := h.storeManyDead(450)
		h.purge(queue.PurgeSelection{State: queue.Dead}, len(ids))
		h.wantLeft()
	}},
}
