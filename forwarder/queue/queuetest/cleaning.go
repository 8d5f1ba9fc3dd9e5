package queuetest

import (
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// cleaning has the cases of stages after the deliveries.
var cleaning = []testCase{
	{name: "clean up: after the last delivery, without the payload", test: func(h *harness) {
		at := h.Now()
		h.storeStaged("a", "ehr", "warehouse")
		h.complete(h.claimOne(completion, "a"), 1)
		h.deliver(h.claimOne("ehr", "a"))
		h.wantIDs(h.claim(cleanup, 10))
		h.wantIDs(h.claim(completion, 10))
		h.deliver(h.claimOne("warehouse", "a"))
		for range 3 { // first before it is filed, then after reopening
			h.wantStates("a", queue.Delivered, "ehr delivered", "warehouse delivered")
			h.wantStages("a", map[string]queue.State{completion: queue.Delivered, cleanup: queue.Pending})
			h.wantPayload("a", queue.ErrNoPayload)
			d := h.claimOne(cleanup, "a")
			if d.Subject != "subject-a" || d.Attempts != 0 || d.Size != 0 {
				h.Fatalf("claimed %+v, want the subject and no payload", d)
			}
			_, err := h.Load(d)
			h.wantErr("Load", err, queue.ErrNoPayload)
			if s := h.stats(); s.Bytes != 0 || len(s.Upstreams) != 0 || len(s.Stages) != 1 || s.Stages[cleanup] != (queue.UpstreamStats{Pending: 1, InFlight: 1, OldestPending: at}) {
				h.Fatalf("stats %+v, want a pending cleanup only", s)
			}
			h.reopen()
		}
		h.retry(h.claimOne(cleanup, "a"), time.Minute)
		h.wantIDs(h.claim(cleanup, 10))
		h.reopen()
		h.Advance(time.Minute)
		d := h.claimOne(cleanup, "a")
		if d.Attempts != 1 || len(d.History) != 1 {
			h.Fatalf("claimed %+v, want one attempt", d)
		}
		h.deliver(d)
		h.wantIDs(h.claim(cleanup, 10))
		h.wantStages("a", map[string]queue.State{completion: queue.Delivered, cleanup: queue.Delivered})
		h.wantEmpty()
	}},
	{name: "clean up: a cleanup that is given up changes nothing else", test: func(h *harness) {
		h.storeStaged("a", "ehr")
		h.complete(h.claimOne(completion, "a"), 1)
		h.deliver(h.claimOne("ehr", "a"))
		h.fail(h.claimOne(cleanup, "a"))
		for range 2 {
			h.wantStates("a", queue.Delivered, "ehr delivered")
			if s := h.stats(); len(s.Upstreams) != 0 || s.Stages[cleanup] != (queue.UpstreamStats{Dead: 1}) {
				h.Fatalf("stats %+v, want a dead cleanup", s)
			}
			for _, f := range []queue.Filter{{State: queue.Dead}, {Upstream: cleanup}, {State: queue.Pending}} {
				f.Limit = 10
				if got := h.list(f); len(got) > 0 {
					h.Fatalf("%v are listed by %+v", got, f)
				}
			}
			h.replay(queue.ReplaySelection{State: queue.Dead}, queue.Replayed{})
			h.purge(queue.PurgeSelection{State: queue.Dead}, 0)
			h.purge(queue.PurgeSelection{Upstream: cleanup}, 0)
			h.reopen()
		}
	}},
	{name: "clean up: not before a dead delivery is replayed and accepted", test: func(h *harness) {
		h.storeStaged("a", "ehr", "warehouse")
		h.complete(h.claimOne(completion, "a"), 1)
		h.deliver(h.claimOne("ehr", "a"))
		h.fail(h.claimOne("warehouse", "a"))
		h.wantIDs(h.claim(cleanup, 10))
		h.reopen()
		h.wantIDs(h.claim(cleanup, 10))
		h.replay(queue.ReplaySelection{State: queue.Dead}, queue.Replayed{Deliveries: 1})
		h.deliver(h.claimOne("warehouse", "a"))
		h.claimOne(cleanup, "a")
	}},
	{name: "clean up: never if the completion retains the result, or a delivery is purged", test: func(h *harness) {
		h.storeStaged("retained", "ehr")
		h.settle(h.claimOne(completion, "retained"), queue.Outcome{State: queue.Delivered, Retain: true})
		h.wantStages("retained", map[string]queue.State{completion: queue.Delivered})
		h.deliver(h.claimOne("ehr", "retained"))
		for _, s := range []queue.PurgeSelection{{State: queue.Dead}, {Upstream: "warehouse"}} {
			h.storeStaged("purged", "ehr", "warehouse")
			h.complete(h.claimOne(completion, "purged"), 1)
			h.deliver(h.claimOne("ehr", "purged"))
			h.fail(h.claimOne("warehouse", "purged"))
			h.purge(s, 1)
			h.wantStates("purged", queue.Delivered, "ehr delivered")
			h.wantPayload("purged", queue.ErrNoPayload)
			h.wantIDs(h.claim(cleanup, 10))
			h.purge(queue.PurgeSelection{IDs: []string{"purged"}}, 1)
		}
		h.reopen()
		h.wantIDs(h.claim(cleanup, 10))
	}},
	{
		name:     "clean up: a replay of a delivered event comes first",
		settings: func(s *queue.Settings) { s.KeepDelivered = time.Hour },
		test: func(h *harness) {
			h.storeStaged("a", "ehr")
			want := h.complete(h.claimOne(completion, "a"), 1)
			h.deliver(h.claimOne("ehr", "a"))
			h.replay(queue.ReplaySelection{IDs: []string{"a"}}, queue.Replayed{Deliveries: 1})
			h.wantIDs(h.claim(cleanup, 10))
			d := h.claimOne("ehr", "a")
			h.wantLoad(d, want)
			h.deliver(d)
			d = h.claimOne(cleanup, "a")
			h.replay(queue.ReplaySelection{IDs: []string{"a"}, Route: routeTo("ehr")}, queue.Replayed{Deliveries: 1})
			h.Release(d)
			h.wantIDs(h.claim(cleanup, 10))
			h.deliver(h.claimOne("ehr", "a"))
			h.deliver(h.claimOne(cleanup, "a"))
		},
	},
	{name: "clean up: a pending cleanup ends with its event", test: func(h *harness) {
		for _, id := range []string{"a", "b", "c"} {
			h.storeStaged(id, "ehr")
			h.complete(h.claimOne(completion, id), 1)
			h.deliver(h.claimOne("ehr", id))
		}
		h.wait(h.settings.HistoryRetention / 2)
		h.retry(h.claim(cleanup, 10)[0], time.Second) // does not extend the retention
		h.purge(queue.PurgeSelection{IDs: []string{"c"}}, 1)
		h.wait(h.settings.HistoryRetention / 2)
		h.wantLeft()
		h.wantIDs(h.claim(cleanup, 10))
		h.wantEmpty()
		h.store("a", "ehr", cleanup)
		h.deliver(h.claimOne("ehr", "a"))
		h.deliver(h.claimOne(cleanup, "a"))
	}},
	{name: "clean up: stages without an upstream do nothing", test: func(h *harness) {
		h.store("a", completion, cleanup)
		if r := h.record("a"); r.State != queue.Delivered || r.HasPayload || len(r.Stages) > 0 {
			h.Fatalf("record %+v, want it delivered and without stages", r)
		}
		h.wantIDs(h.claim(completion, 10))
		h.wantEmpty()
	}},
	{
		name:     "recovered: any trace is a duplicate",
		settings: func(s *queue.Settings) { s.HistoryRetention = 48 * time.Hour },
		test: func(h *harness) {
			recovered := func(id string, duplicate bool) {
				h.Helper()
				h.storeItem(queue.Item{Event: Event(id, h.Now()), Upstreams: []string{"ehr"}, Recovered: true}, duplicate)
			}
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.store("b", "ehr")
			h.deliver(h.claimOne("ehr", "b"))
			h.setAside("c", queue.Unconfirmed)
			recovered("d", false)
			h.deliver(h.claimOne("ehr", "d"))
			h.wait(30 * time.Hour) // beyond the dedupe window
			for range 2 {
				for _, id := range []string{"a", "b", "c", "d"} {
					recovered(id, true)
				}
				h.reopen()
			}
			h.wantIDs(h.claim("ehr", 10))
			h.store("b", "ehr")
			h.wait(18 * time.Hour)
			recovered("a", false)
			recovered("b", true)
		},
	},
	{
		name:     "recovered: an id that is known after its retention is a duplicate",
		settings: func(s *queue.Settings) { s.HistoryRetention = time.Hour },
		test: func(h *harness) {
			it := queue.Item{Event: Event("a", h.Now()), Upstreams: []string{"ehr"}, Recovered: true}
			h.storeItem(it, false)
			h.deliver(h.claimOne("ehr", "a"))
			h.wait(2 * time.Hour)
			h.wantLeft()
			h.storeItem(it, true)
			h.wait(h.settings.DedupeWindow)
			h.storeItem(it, false)
			if got := h.list(queue.Filter{Limit: 10}); !slices.Equal(got, []string{"a"}) {
				h.Fatalf("%v are listed", got)
			}
		},
	},
}
