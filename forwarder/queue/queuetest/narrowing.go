package queuetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// all is a Match that selects everything.
func all(queue.Record, *queue.DeliveryRecord) bool { return true }

// dieFor makes the deliveries of a new event to the upstreams dead.
func (h *harness) dieFor(id string, upstreams ...string) {
	h.Helper()
	h.store(id, upstreams...)
	for _, u := range upstreams {
		for _, d := range h.claim(u, 10) {
			if d.EventID == id {
				h.fail(d)
			} else {
				h.Release(d)
			}
		}
	}
}

// replayAndFail replays an event's delivery, which dies again.
func (h *harness) replayAndFail(id, upstream string) {
	h.Helper()
	h.replay(queue.ReplaySelection{IDs: []string{id}, Upstreams: []string{upstream}}, queue.Replayed{Deliveries: 1})
	h.fail(h.claimOne(upstream, id))
}

// narrowing has the cases of selections by state that ids or a Match restrict.
var narrowing = []testCase{
	{name: "narrow: a purge of the named events that are in the state", test: func(h *harness) {
		everyState(h)
		h.dieFor("other", "ehr")
		h.setAside("unrouted too", queue.Unrouted)
		ids := append(h.list(queue.Filter{Limit: 100}), "unknown", "dead")
		ids = slices.DeleteFunc(ids, func(id string) bool { return id == "other" || id == "unrouted too" })
		h.purge(queue.PurgeSelection{State: queue.Dead, IDs: ids}, 2)
		h.wantStates("mixed", queue.Pending, "ehr pending")
		h.wantLeft("unrouted too", "other", "no upstream", "first", "mixed", "unconfirmed", "unrouted", "quarantined", "retry", "delivered")
		for _, s := range []queue.State{queue.Unrouted, queue.Quarantined, queue.Unconfirmed} {
			h.purge(queue.PurgeSelection{State: s, IDs: ids, Before: h.Now()}, 0)
			h.purge(queue.PurgeSelection{State: s, IDs: ids}, 1)
		}
		h.purge(queue.PurgeSelection{State: queue.Dead, IDs: []string{"unknown"}}, 0)
		h.wantLeft("unrouted too", "other", "no upstream", "first", "mixed", "retry", "delivered")
	}},
	{name: "narrow: a replay of the named events that are in the state", test: func(h *harness) {
		everyState(h)
		h.dieFor("both", "ehr", "warehouse")
		h.dieFor("other", "ehr")
		h.setAside("unrouted too", queue.Unrouted)
		ids := []string{"unknown", "both", "delivered", "dead", "retry", "quarantined", "unrouted", "unconfirmed", "first", "dead"}
		h.replay(queue.ReplaySelection{State: queue.Dead, IDs: ids, Upstreams: []string{"ehr"}}, queue.Replayed{Deliveries: 2})
		h.wantStates("both", queue.Dead, "ehr pending", "warehouse dead")
		h.wantStates("other", queue.Dead, "ehr dead")
		h.wantIDs(h.claim("ehr", 10), "dead", "mixed", "both") // not retry
		for _, s := range routable {
			h.replay(queue.ReplaySelection{State: s, IDs: ids}, queue.Replayed{Unrouted: 1})
			h.replay(queue.ReplaySelection{State: s, IDs: ids, Route: routeTo("other")}, queue.Replayed{Deliveries: 1})
			h.replay(queue.ReplaySelection{State: s, IDs: ids, Route: routeTo("other")}, queue.Replayed{})
		}
		h.wantIDs(h.claim("other", 10), "unrouted", "unconfirmed")
		h.wantStates("unrouted too", queue.Unrouted)
		h.wantStates("quarantined", queue.Quarantined)
	}},
	{name: "narrow: an event that was purged and stored again is the named one", test: func(h *harness) {
		h.dieFor("a", "ehr")
		h.reopen()
		h.purge(queue.PurgeSelection{IDs: []string{"a"}}, 1)
		h.dieFor("a", "ehr")
		h.purge(queue.PurgeSelection{State: queue.Dead, IDs: []string{"a"}}, 1)
		h.wantLeft()
	}},
	{name: "narrow: a match selects dead deliveries one by one", test: func(h *harness) {
		h.dieFor("both", "ehr", "warehouse")
		h.dieFor("one", "ehr")
		asked := make(map[string]bool)
		match := func(r queue.Record, d *queue.DeliveryRecord) bool {
			if r.State != queue.Dead || d.State != queue.Dead || len(d.History) != 1 || d.History[0].Status != 422 || len(delivery(r, d.Upstream).History) != 1 {
				h.Errorf("the match is asked about %+v of %+v, want a dead delivery with its history", d, r)
			}
			if slices.ContainsFunc(r.Deliveries, func(d queue.DeliveryRecord) bool { return d.State != queue.Dead }) {
				h.Errorf("the match is asked about %+v, want it as it was before the replay", r)
			}
			asked[r.ID+" "+d.Upstream] = true
			return d.Upstream == "ehr"
		}
		h.store("pending", "ehr")
		h.replay(queue.ReplaySelection{State: queue.Dead, Match: match}, queue.Replayed{Deliveries: 2})
		h.wantStates("both", queue.Dead, "ehr pending", "warehouse dead")
		h.wantStates("one", queue.Pending, "ehr pending")
		if want := map[string]bool{"both ehr": true, "both warehouse": true, "one ehr": true}; fmt.Sprint(asked) != fmt.Sprint(want) {
			h.Errorf("the match was asked about %v, want %v", asked, want)
		}
		for _, d := range h.claim("ehr", 10)[:2] {
			h.fail(d)
		}
		match = func(_ queue.Record, d *queue.DeliveryRecord) bool { return d.Upstream == "ehr" }
		h.purge(queue.PurgeSelection{State: queue.Dead, Match: match, IDs: []string{"both", "one"}}, 2)
		h.wantStates("both", queue.Dead, "warehouse dead")
		h.wantLeft("pending", "both")
		h.wantPayload("both", nil)
		h.purge(queue.PurgeSelection{State: queue.Dead, Match: match}, 0)
	}},
	{name: "narrow: a match selects events that are set aside", test: func(h *harness) {
		for _, s := range []queue.State{queue.Quarantined, queue.Unrouted, queue.Unconfirmed} {
			early, late := "early "+string(s), "late "+string(s)
			h.setAside(early, s)
			at := h.Now()
			h.Advance(time.Second)
			h.setAside(late, s)
			match := func(r queue.Record, d *queue.DeliveryRecord) bool {
				if d != nil || r.State != s || len(r.Deliveries) > 0 || s == queue.Quarantined && r.Reason != Reason {
					h.Errorf("the match is asked about %+v of %+v, want an event in state %s", d, r, s)
				}
				return !r.EndedAt.After(at)
			}
			if s != queue.Quarantined {
				h.replay(queue.ReplaySelection{State: s, Match: match, Route: routeTo("ehr")}, queue.Replayed{Deliveries: 1})
				h.wantStates(early, queue.Pending, "ehr pending")
			} else {
				h.purge(queue.PurgeSelection{State: s, Match: match}, 1)
				h.wantGone(early)
			}
			h.wantStates(late, s)
			h.purge(queue.PurgeSelection{State: s, Match: match}, 0)
			h.purge(queue.PurgeSelection{State: s, IDs: []string{early, late}, Match: func(r queue.Record, _ *queue.DeliveryRecord) bool { return r.ID == late }}, 1)
			h.wantGone(late)
		}
	}},
	{name: "narrow: a record has the time since which its event has been in its state", test: func(h *harness) {
		wantEnd := func(id string, want time.Time) {
			h.Helper()
			for range 2 {
				if got := h.record(id).EndedAt; !got.Equal(want) {
					h.Fatalf("%s has ended at %s, want %s", id, got, want)
				}
				h.reopen()
			}
		}
		h.storeStaged("a", "ehr")
		h.store("b", "ehr", "warehouse")
		h.setAside("unrouted", queue.Unrouted)
		wantEnd("unrouted", h.Now())
		wantEnd("a", time.Time{})
		h.Advance(time.Minute)
		h.unconfirm(h.claimOne(completion, "a"))
		wantEnd("a", h.Now())
		h.fail(h.claimOne("ehr", "b"))
		wantEnd("b", time.Time{})
		h.deliver(h.claimOne("warehouse", "b"))
		wantEnd("b", h.Now())
		h.Advance(time.Minute)
		h.replay(queue.ReplaySelection{IDs: []string{"a"}, Route: routeTo("ehr", completion)}, queue.Replayed{Deliveries: 1})
		wantEnd("a", time.Time{})
		h.unconfirm(h.claimOne(completion, "a"))
		wantEnd("a", h.Now())
	}},
	{name: "narrow: a match that selects nothing", test: func(h *harness) {
		h.dieFor("a", "ehr")
		none := func(queue.Record, *queue.DeliveryRecord) bool { return false }
		h.replay(queue.ReplaySelection{State: queue.Dead, Match: none}, queue.Replayed{})
		h.replay(queue.ReplaySelection{State: queue.Dead, Match: none, IDs: []string{"a"}}, queue.Replayed{})
		h.purge(queue.PurgeSelection{State: queue.Dead, Match: none}, 0)
		h.wantStates("a", queue.Dead, "ehr dead")
	}},
	{name: "narrow: a match is asked when the event is changed", test: func(h *harness) {
		const n, again = 450, "e0"
		for _, byID := range []bool{false, true} {
			ids := h.storeManyDead(n)
			shown := h.Now()
			h.Advance(time.Second)
			match := func(_ queue.Record, d *queue.DeliveryRecord) bool {
				return !d.History[len(d.History)-1].End().After(shown)
			}
			s := queue.PurgeSelection{State: queue.Dead, Match: match}
			if byID {
				s.IDs = ids
			}
			steps := 0
			s.Progress = func(done, _ int64) {
				if steps++; done == 0 {
					h.replayAndFail(again, "ehr")
				}
			}
			got, err := h.Purge(h.Context(), s)
			if err != nil || got != n-1 || steps < 3 {
				h.Fatalf("Purge: %d, %v in %d steps; want %d, without the one that died again, in at least 3", got, err, steps, n-1)
			}
			h.wantLeft(again)
			h.Advance(time.Second)
			r := queue.ReplaySelection{State: queue.Dead, Match: until(h.Now().Add(-time.Second), "ehr"), Progress: func(done, total int64) {
				if done == 0 && total == 1 {
					h.replayAndFail(again, "ehr")
				}
			}}
			if byID {
				r.IDs = []string{again}
			}
			h.replay(r, queue.Replayed{})
			h.purge(queue.PurgeSelection{IDs: []string{again}}, 1)
		}
	}},
	{name: "narrow: the progress of a selection of named events in a state", test: func(h *harness) {
		const n = 450
		ids := h.storeManyDead(n)
		reports, p := h.logProgress()
		s := queue.ReplaySelection{State: queue.Dead, IDs: append(ids, "unknown"), Progress: p}
		if got, err := h.Replay(h.Context(), s); err != nil || got.Deliveries != n {
			h.Fatalf("Replay: %+v, %v; want %d", got, err, n)
		}
		reports.check(h, 3, n)
		for _, d := range h.claim("ehr", 2*n) {
			if d.EventID == "e0" || d.EventID == "e1" {
				h.fail(d)
			}
		}
		var total int64
		h.replay(queue.ReplaySelection{State: queue.Dead, IDs: []string{"e0", "unknown"}, Progress: func(_, t int64) { total = t }}, queue.Replayed{Deliveries: 1})
		if total != 1 {
			h.Fatalf("a total of %d events, want only the one that is named", total)
		}
	}},
}
