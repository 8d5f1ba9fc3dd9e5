package queuetest

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// far is a jump of the clock beyond every retention.
const far = 10 * 365 * 24 * time.Hour

// oneOfEach are the events that storeOneOfEach stores.
var oneOfEach = []string{"dead", "delivered", "quarantined", "unrouted", "unconfirmed"}

// storeOneOfEach stores an event of each kind that has a retention.
func (h *harness) storeOneOfEach() {
	h.Helper()
	h.store("dead", "ehr")
	h.fail(h.claimOne("ehr", "dead"))
	h.store("delivered", "ehr")
	h.deliver(h.claimOne("ehr", "delivered"))
	h.setAside("quarantined", queue.Quarantined)
	h.setAside("unrouted", queue.Unrouted)
	h.setAside("unconfirmed", queue.Unconfirmed)
	h.stats()
}

// wantOneOfEach checks that all of them are in the store and are duplicates.
func (h *harness) wantOneOfEach() {
	h.Helper()
	h.Sweep()
	for _, id := range oneOfEach {
		h.storeAgain(id, "ehr")
		h.wantPayload(id, nil)
	}
}

// wantNoneOfEach checks that none of them is in the store.
func (h *harness) wantNoneOfEach() {
	h.Helper()
	h.Sweep()
	for _, id := range oneOfEach {
		h.wantGone(id)
	}
}

func keepDelivered(s *queue.Settings) { s.KeepDelivered = 24 * time.Hour }

var jumping = []testCase{
	{name: "jump: a clock that is set far ahead does not delete events at once", settings: keepDelivered, test: func(h *harness) {
		h.storeOneOfEach()
		h.Jump(far)
		h.wantOneOfEach()
		h.Advance(59 * time.Minute)
		h.wantOneOfEach()
		h.Advance(time.Minute) // now the clock has run for an hour since the jump
		h.wantNoneOfEach()
	}},
	{name: "jump: a clock that is set ahead and back again does not delete events", settings: keepDelivered, test: func(h *harness) {
		h.storeOneOfEach()
		h.Jump(far)
		h.wantOneOfEach()
		h.Advance(30 * time.Minute)
		h.wantOneOfEach()
		h.Jump(-far)
		h.wantOneOfEach()
		h.Advance(23 * time.Hour)
		h.wantOneOfEach()
		h.Advance(h.settings.DeadRetention)
		h.wantNoneOfEach()
	}},
	{name: "jump: after a jump the retention continues by elapsed time", settings: func(s *queue.Settings) {
		s.KeepDelivered, s.HistoryRetention = 10*time.Minute, 20*time.Minute
	}, test: func(h *harness) {
		h.storeOneOfEach()
		h.Jump(far)
		h.Sweep()
		h.wait(10*time.Minute - time.Second)
		h.wantPayload("delivered", nil)
		h.wait(time.Second)
		h.wantPayload("delivered", queue.ErrNoPayload)
		h.wait(10 * time.Minute)
		h.wantGone("delivered")
		h.record("dead")
	}},
	{name: "jump: a queue that is opened with a clock far ahead does not delete events at once", settings: keepDelivered, test: func(h *harness) {
		h.storeOneOfEach()
		for range 2 {
			h.Jump(far)
			h.Queue = h.Reopen(h.settings)
			h.wantOneOfEach()
			// Events that are stored by this clock do not confirm it.
			h.store("since "+h.Now().String(), "lab")
			h.Advance(50 * time.Minute)
			h.wantOneOfEach()
		}
		if h.Crash != nil {
			h.Queue = h.Crash(h.settings)
			h.wantOneOfEach()
			h.Advance(50 * time.Minute)
		}
		h.wantOneOfEach()
		h.Advance(10 * time.Minute)
		h.Sweep()
		h.Advance(time.Hour)
		h.wantNoneOfEach()
	}},
	{
		name:     "jump: an id is known for the window by elapsed time",
		settings: func(s *queue.Settings) { s.HistoryRetention = time.Minute },
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.wait(time.Minute)
			h.wantGone("a")
			h.Jump(far)
			h.Sweep()
			h.storeAgain("a", "ehr")
			h.Queue = h.Reopen(h.settings)
			h.Sweep()
			h.storeAgain("a", "ehr")
			h.Advance(time.Hour)
			h.Sweep()
			h.store("a", "ehr")
		},
	},
	{name: "jump: a queue that is reopened soon accepts the clock", test: func(h *harness) {
		h.storeOneOfEach()
		h.wait(h.settings.DeadRetention - time.Minute) // meanwhile only the time is written
		h.Queue = h.Reopen(h.settings)
		h.wait(time.Minute)
		h.wantGone("dead")
	}},
	{
		name:     "jump: a trace is a duplicate for the window by elapsed time",
		settings: func(s *queue.Settings) { s.HistoryRetention = 2 * far },
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.Jump(far)
			h.storeAgain("a", "ehr")
			h.Advance(59 * time.Minute)
			h.storeAgain("a", "ehr")
			h.Advance(time.Minute)
			h.Sweep()
			h.store("a", "ehr")
		},
	},
	{name: "jump: a clock that is set back does not delete events too early", settings: keepDelivered, test: func(h *harness) {
		h.store("before", "lab")
		h.Jump(-far)
		h.storeOneOfEach()
		h.wantOneOfEach()
		h.Jump(far)
		// The time of receipt is from the wrong clock, so the trace counts as older
		// than the window, but nothing is deleted for that reason.
		check := func() {
			h.Helper()
			h.Sweep()
			for _, id := range oneOfEach {
				h.wantPayload(id, nil)
			}
		}
		check()
		h.Advance(23 * time.Hour)
		check()
	}},
}
