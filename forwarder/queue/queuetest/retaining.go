package queuetest

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// gone checks that nothing of an event can be had.
func (h *harness) gone(id string) {
	h.Helper()
	_, err := h.Queue.Event(h.Context(), id)
	h.wantErr("Event("+id+")", err, queue.ErrNotFound)
	h.wantPayload(id, queue.ErrNotFound)
	for _, r := range h.list(queue.Filter{Limit: 100}) {
		if r == id {
			h.Fatalf("%s is listed", id)
		}
	}
}

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
		h.gone("a")
	}},
	{name: "retention: a dead event", test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		h.kill(h.claimOne("ehr", "a"))
		h.wait(2 * h.settings.DeadRetention) // warehouse waits for it still
		h.deliver(h.claimOne("warehouse", "a"))
		h.wait(h.settings.DeadRetention - time.Nanosecond)
		h.wantPayload("a", nil)
		h.wait(time.Nanosecond)
		h.gone("a")
		if s := h.stats(); s.Bytes != 0 || len(s.Upstreams) != 0 {
			h.Fatalf("stats %+v, want none", s)
		}
		h.store("a", "ehr")
	}},
	{name: "retention: a quarantined event", test: func(h *harness) {
		h.quarantine("a")
		h.wait(h.settings.DeadRetention - time.Nanosecond)
		h.wantPayload("a", nil)
		h.wait(time.Nanosecond)
		h.gone("a")
		if s := h.stats(); s.Bytes != 0 || s.Quarantined != 0 {
			h.Fatalf("stats %+v, want none", s)
		}
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
			if b := h.stats().Bytes; b != 0 {
				h.Fatalf("%d bytes of sealed records, want 0", b)
			}
		},
	},
	{
		name: "retention: keep_delivered keeps the trace as long",
		settings: func(s *queue.Settings) {
			s.KeepDelivered, s.HistoryRetention = 48*time.Hour, time.Hour
		},
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.wait(48*time.Hour - time.Nanosecond)
			h.wantPayload("a", nil)
			h.wait(time.Nanosecond)
			h.gone("a")
		},
	},
	{
		name:     "retention: settings that change apply to what is kept",
		settings: func(s *queue.Settings) { s.KeepDelivered = 24 * time.Hour },
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.store("dead", "ehr")
			h.kill(h.claimOne("ehr", "dead"))
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
			h.gone("a")
			h.gone("dead")
			h.store("a", "ehr")
		},
	},
	{name: "retention: more events than one go of the sweep takes", test: func(h *harness) {
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
