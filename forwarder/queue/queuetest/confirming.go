package queuetest

import (
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// unconfirm settles a completion: the provider has no record of the event.
func (h *harness) unconfirm(d queue.Delivery) {
	h.Helper()
	h.settle(d, queue.Outcome{State: queue.Unconfirmed, Result: queue.Failure, Status: 404, Used: true, Reason: Reason})
}

// confirming has the cases of events that are unconfirmed, replayed or purged before
// they are completed.
var confirming = []testCase{
	{name: "unconfirmed: the event is set aside with its payload", test: func(h *harness) {
		at := h.Now()
		h.storeStaged("a", "ehr")
		h.wait(time.Hour)
		h.unconfirm(h.claimOne(completion, "a"))
		for range 3 {
			for _, u := range []string{"ehr", completion, cleanup} {
				h.wantIDs(h.claim(u, 10))
			}
			if r := h.record("a"); r.State != queue.Unconfirmed || r.Reason != Reason || !r.HasPayload || len(r.Deliveries)+len(r.Stages) > 0 || !r.ReceivedAt.Equal(at) {
				h.Fatalf("record %+v, want it unconfirmed, with a reason and without deliveries", r)
			}
			if got := h.list(queue.Filter{State: queue.Unconfirmed, Limit: 10}); !slices.Equal(got, []string{"a"}) {
				h.Fatalf("%v are listed as unconfirmed", got)
			}
			if s := h.stats(); s.Unconfirmed != 1 || s.Bytes == 0 || len(s.Upstreams)+len(s.Stages) > 0 {
				h.Fatalf("stats %+v, want one unconfirmed event", s)
			}
			h.wantPayload("a", nil)
			h.storeAgain("a", "ehr")
			h.reopen()
		}
		h.wait(h.settings.DeadRetention - time.Second)
		h.wantLeft("a")
		h.wait(time.Second)
		h.wantLeft()
		h.wantEmpty()
	}},
	{name: "unconfirmed: a replay confirms the event anew", test: func(h *harness) {
		route := routeTo("ehr", "warehouse", completion, cleanup)
		for _, s := range []queue.ReplaySelection{{State: queue.Unconfirmed}, {IDs: []string{"a"}}} {
			h.storeStaged("a", "ehr", "warehouse")
			h.unconfirm(h.claimOne(completion, "a"))
			s.Route = route
			h.replay(s, queue.Replayed{Deliveries: 2})
			h.wantStates("a", queue.Pending, "ehr pending", "warehouse pending")
			h.reopen()
			h.wantIDs(h.claim("ehr", 10))
			want := h.complete(h.claimOne(completion, "a"), 10)
			for _, u := range []string{"ehr", "warehouse"} {
				d := h.claimOne(u, "a")
				h.wantLoad(d, want)
				h.deliver(d)
			}
			h.deliver(h.claimOne(cleanup, "a"))
			h.purge(queue.PurgeSelection{IDs: []string{"a"}}, 1)
		}
	}},
	{name: "unconfirmed: a replay to some of the upstreams never cleans up", test: func(h *harness) {
		for _, state := range routable {
			id := string(state)
			h.setAside(id, state)
			s := queue.ReplaySelection{State: state, Upstreams: []string{"ehr"}, Route: routeTo("ehr", "warehouse", completion, cleanup)}
			h.replay(s, queue.Replayed{Deliveries: 1})
			h.wantStages(id, map[string]queue.State{completion: queue.Pending})
			h.purge(queue.PurgeSelection{Upstream: "ehr"}, 1)
		}
		h.setAside("b", queue.Unrouted)
		h.replay(queue.ReplaySelection{State: queue.Unrouted, Route: routeTo(completion, cleanup)}, queue.Replayed{Unrouted: 1})
		h.wantStates("b", queue.Unrouted)
	}},
	{name: "waiting: a replay makes the completion due at once", test: func(h *harness) {
		since := h.Now()
		for i, s := range []queue.ReplaySelection{{IDs: []string{"a"}}, {Since: since}, {IDs: []string{"a"}, Upstreams: []string{"ehr"}}, {IDs: []string{"a"}, Route: routeTo("ehr", completion)}} {
			h.storeStaged("a", "ehr")
			h.retry(h.claimOne(completion, "a"), time.Hour)
			if i%2 == 1 {
				h.reopen()
			}
			h.wantIDs(h.claim(completion, 10))
			h.replay(s, queue.Replayed{Deliveries: 1})
			h.wantIDs(h.claim("ehr", 10))
			d := h.claimOne(completion, "a")
			if d.Attempts != 0 || len(d.History) != 1 || !d.LastEnded.IsZero() {
				h.Fatalf("claimed %+v, want no attempts, and one in the history", d)
			}
			h.replay(s, queue.Replayed{Deliveries: 1}) // the completion is claimed
			h.complete(d, 1)
			h.deliver(h.claimOne("ehr", "a"))
			h.purge(queue.PurgeSelection{IDs: []string{"a"}}, 1)
		}
	}},
	{name: "waiting: only a replay by id drops a completion that is not in the route any more", test: func(h *harness) {
		since := h.Now()
		for i := range 2 {
			at := h.Now()
			h.storeStaged("a", "ehr", "warehouse")
			if i == 1 {
				h.reopen()
			}
			for _, s := range []queue.ReplaySelection{{Since: since, Route: routeTo("ehr", "warehouse")}, {IDs: []string{"a"}, Route: routeTo()}} {
				h.replay(s, queue.Replayed{Deliveries: 2})
				h.wantIDs(h.claim("ehr", 10))
				h.wantStages("a", map[string]queue.State{completion: queue.Pending, cleanup: queue.Pending})
			}
			s := queue.ReplaySelection{IDs: []string{"a"}}
			claimed := h.claimOne(completion, "a")
			s.Route, s.Upstreams = routeTo("ehr", "warehouse"), []string{"ehr"}
			h.replay(s, queue.Replayed{Deliveries: 1})
			h.wantStages("a", map[string]queue.State{})
			_, err := h.Load(claimed)
			h.wantErr("Load", err, queue.ErrNotFound)
			h.settle(claimed, queue.Outcome{State: queue.Delivered, Event: completed(Event("a", at), 7)})
			for _, u := range []string{"ehr", "warehouse"} {
				d := h.claimOne(u, "a")
				h.wantLoad(d, Event("a", at))
				h.deliver(d)
			}
			h.wantIDs(h.claim(cleanup, 10))
			h.wantIDs(h.claim(completion, 10))
			h.purge(queue.PurgeSelection{IDs: []string{"a"}}, 1)
		}
	}},
	{name: "waiting: a purge", test: func(h *harness) {
		h.storeStaged("a", "ehr", "warehouse")
		_, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{"a"}})
		h.wantErr("Purge without force", err, queue.ErrPending)
		d := h.claimOne(completion, "a")
		h.purge(queue.PurgeSelection{Upstream: completion}, 0)
		h.purge(queue.PurgeSelection{Upstream: "ehr"}, 1)
		h.wantStates("a", queue.Pending, "warehouse pending")
		h.wantStages("a", map[string]queue.State{completion: queue.Pending})
		want := h.complete(d, 1)
		h.wantLoad(h.claimOne("warehouse", "a"), want)
		h.storeStaged("b", "ehr")
		d = h.claimOne(completion, "b")
		h.purge(queue.PurgeSelection{Upstream: "ehr"}, 1)
		h.wantGone("b")
		h.settle(d, queue.Outcome{State: queue.Delivered, Event: completed(Event("b", h.Now()), 7)})
		h.wantGone("b")
		h.purge(queue.PurgeSelection{IDs: []string{"a"}, Force: true}, 1)
		h.wantEmpty()
		h.storeStaged("b", "ehr")
		h.settle(d, queue.Outcome{State: queue.Unconfirmed}) // of the purged event
		h.claimOne(completion, "b")
	}},
}
