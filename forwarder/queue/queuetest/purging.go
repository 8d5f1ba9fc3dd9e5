package queuetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func (h *harness) purge(s queue.Selection, want int) {
	h.Helper()
	got, err := h.Purge(h.Context(), s)
	if err != nil || got != want {
		h.Fatalf("Purge(%+v): %d, %v; want %d", s, got, err, want)
	}
}

var purging = []testCase{
	{name: "purge: those named in whatever state", test: func(h *harness) {
		everyState(h)
		ids := h.list(queue.Filter{Limit: 100})
		h.purge(queue.Selection{IDs: append(slices.Clone(ids), ids[0])}, len(ids))
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
		h.store("a", "ehr")
		_, err := h.Purge(h.Context(), queue.Selection{IDs: []string{"a", "unknown"}})
		h.wantErr("Purge", err, queue.ErrNotFound)
		h.wantPayload("a", nil)
	}},
	{name: "purge: an id is remembered until the window ends", test: func(h *harness) {
		h.store("a", "ehr")
		h.purge(queue.Selection{IDs: []string{"a"}}, 1)
		h.storeAgain("a", "ehr")
		h.wait(h.settings.DedupeWindow)
		h.store("a", "ehr")
		h.claimOne("ehr", "a")
	}},
	{name: "purge: the dead and the quarantined", test: func(h *harness) {
		everyState(h)
		h.purge(queue.Selection{Dead: true}, 2)
		// Another upstream waits for the mixed event still.
		want := []string{"nobody", "first", "mixed", "retry", "delivered"}
		if got := h.list(queue.Filter{Limit: 100}); !slices.Equal(got, want) {
			h.Fatalf("%v are left, want %v", got, want)
		}
		h.purge(queue.Selection{Dead: true}, 0)
	}},
	{name: "purge: the dead received before a time", test: func(h *harness) {
		h.store("old", "ehr")
		h.kill(h.claimOne("ehr", "old"))
		h.quarantine("old too")
		h.Advance(time.Minute)
		before := h.Now()
		h.store("new", "ehr")
		h.kill(h.claimOne("ehr", "new"))
		h.quarantine("new too")
		h.purge(queue.Selection{Dead: true, Before: before}, 2)
		if got, want := h.list(queue.Filter{Limit: 100}), []string{"new too", "new"}; !slices.Equal(got, want) {
			h.Fatalf("%v are left, want %v", got, want)
		}
	}},
	{name: "purge: an outcome that comes late changes nothing", test: func(h *harness) {
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		h.purge(queue.Selection{IDs: []string{"a"}}, 1)
		h.retry(d, 0)
		h.gone("a")
		h.wantIDs(h.claim("ehr", 10))
		if s := h.stats(); len(s.Upstreams) != 0 || s.Bytes != 0 {
			h.Fatalf("stats %+v, want none", s)
		}
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
		h.purge(queue.Selection{Dead: true}, len(ids))
	}},
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
