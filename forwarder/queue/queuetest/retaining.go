package queuetest

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var retaining = []testCase{
	{name: "retention: the trace of a delivered event", test: func(h *harness) {
		h.store("a", "ehr")
		h.wait(time.Hour)
		h.deliver(h.claimOne("ehr", "a"))
		h.wait(h.settings.HistoryRetention - time.Nanosecond)
		if got := delivery(h.record("a"), "ehr"); got.State != queue.Delivered || len(got.History) != 1 {
			h.Fatalf("delivery %+v, want delivered with its history", got)
		}
		h.wait(time.Nanosecond)
		h.wantGone("a")
	}},
	{name: "retention: a dead event", test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		h.fail(h.claimOne("ehr", "a"))
		h.wait(2 * h.settings.DeadRetention) // warehouse still waits for the event
		h.deliver(h.claimOne("warehouse", "a"))
		h.wait(h.settings.DeadRetention - time.Nanosecond)
		h.wantPayload("a", nil)
		h.wait(time.Nanosecond)
		h.wantGone("a")
		h.wantEmpty()
		h.store("a", "ehr")
	}},
	{name: "retention: an event that is set aside", test: func(h *harness) {
		aside := []queue.State{queue.Quarantined, queue.Unrouted, queue.Unconfirmed}
		for _, s := range aside {
			h.setAside(string(s), s)
		}
		h.wait(h.settings.DeadRetention - time.Nanosecond)
		for _, s := range aside {
			h.wantPayload(string(s), nil)
		}
		h.reopen()
		h.wait(time.Nanosecond)
		for _, s := range aside {
			h.wantGone(string(s))
		}
		h.wantEmpty()
	}},
	{name: "retention: a replayed unrouted event is kept like any other", test: func(h *harness) {
		h.setAside("pending", queue.Unrouted)
		h.setAside("delivered", queue.Unconfirmed)
		h.wait(time.Hour)
		h.replay(queue.ReplaySelection{IDs: []string{"pending", "delivered"}, Route: routeTo("ehr")}, queue.Replayed{Deliveries: 2})
		ds := h.claim("ehr", 10)
		h.wantIDs(ds, "pending", "delivered")
		h.Release(ds[0])
		h.deliver(ds[1])
		h.wantPayload("delivered", queue.ErrNoPayload)
		h.wait(h.settings.HistoryRetention)
		h.wantGone("delivered")
		h.wait(2 * h.settings.DeadRetention)
		h.wantPayload("pending", nil)
	}},
	{name: "retention: a pending event has none", test: func(h *harness) {
		h.store("a", "ehr")
		h.wait(365 * 24 * time.Hour)
		h.reopen()
		h.Sweep()
		if _, err := h.Load(h.claimOne("ehr", "a")); err != nil {
			h.Fatal(err)
		}
	}},
	{name: "retention: the rest of a purged event has ended with the purge", settings: func(s *queue.Settings) {
		s.HistoryRetention, s.KeepDelivered = time.Hour, time.Minute
		s.DeadRetention = 24*time.Hour + 30*time.Minute // ends while the trace is kept
	}, test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		h.deliver(h.claimOne("ehr", "a"))
		h.fail(h.claimOne("warehouse", "a"))
		h.wait(24 * time.Hour)
		h.purge(queue.PurgeSelection{State: queue.Dead}, 1)
		h.wantStates("a", queue.Delivered, "ehr delivered")
		h.wait(time.Minute - time.Nanosecond)
		h.wantPayload("a", nil)
		h.wait(time.Nanosecond)
		h.wantPayload("a", queue.ErrNoPayload)
		h.wantEmpty()
		h.wait(time.Hour - time.Minute - time.Nanosecond)
		h.wantStates("a", queue.Delivered, "ehr delivered")
		h.wait(time.Nanosecond)
		h.wantGone("a")
	}},
	{
		name:     "retention: keep_delivered keeps the payload",
		settings: func(s *queue.Settings) { s.KeepDelivered = time.Hour },
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.reopen()
			h.wait(time.Hour - time.Nanosecond)
			h.wantPayload("a", nil)
			h.wait(time.Nanosecond)
			h.wantPayload("a", queue.ErrNoPayload)
			h.wantEmpty()
		},
	},
	{
		name: "retention: keep_delivered keeps the trace as long as the payload",
		settings: func(s *queue.Settings) {
			s.KeepDelivered, s.HistoryRetention = 48*time.Hour, time.Hour
		},
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.wait(48*time.Hour - time.Nanosecond)
			h.wantPayload("a", nil)
			h.wait(time.Nanosecond)
			h.wantGone("a")
		},
	},
	{
		name:     "retention: changed settings apply to stored events",
		settings: func(s *queue.Settings) { s.KeepDelivered = 24 * time.Hour },
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.store("dead", "ehr")
			h.fail(h.claimOne("ehr", "dead"))
			h.wait(2 * time.Hour)
			h.wantPayload("a", nil)
			s := h.settings
			s.KeepDelivered = 0
			h.Configure(s)
			h.Sweep()
			h.wantPayload("a", queue.ErrNoPayload)
			s.HistoryRetention, s.DedupeWindow, s.DeadRetention = time.Hour, 2*time.Hour, time.Hour
			h.Configure(s)
			h.Sweep()
			h.wantGone("a")
			h.wantGone("dead")
			h.store("a", "ehr")
		},
	},
	{name: "retention: more events than one transaction of the sweep deletes", test: func(h *harness) {
		const n = 500
		for i := range n {
			h.store(time.Duration(i).String(), "ehr")
		}
		for _, d := range h.claim("ehr", n) {
			h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Delivered, Result: queue.Success, Used: true})
		}
		h.Flush()
		h.wait(h.settings.HistoryRetention)
		if ids := h.list(queue.Filter{Limit: n}); len(ids) != 0 {
			h.Fatalf("%d events are listed, want none", len(ids))
		}
	}},
}
