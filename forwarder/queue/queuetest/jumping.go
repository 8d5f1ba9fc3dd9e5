package queuetest

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// far is a jump of the clock beyond every retention.
const far = 10 * 365 * 24 * time.Hour

// storeOneOfEach stores an event of each kind that is kept for a time.
func (h *harness) storeOneOfEach() {
	h.Helper()
	h.store("dead", "ehr")
	h.kill(h.claimOne("ehr", "dead"))
	h.store("delivered", "ehr")
	h.deliver(h.claimOne("ehr", "delivered"))
	h.quarantine("quarantined")
	h.settled()
}

// wantOneOfEach checks that all of them are there.
func (h *harness) wantOneOfEach() {
	h.Helper()
	h.Sweep()
	for _, id := range []string{"dead", "delivered", "quarantined"} {
		h.record(id)
		h.storeAgain(id, "ehr")
		h.wantPayload(id, nil)
	}
}

// wantNoneOfEach checks that none is.
func (h *harness) wantNoneOfEach() {
	h.Helper()
	h.Sweep()
	for _, id := range []string{"dead", "delivered", "quarantined"} {
		h.gone(id)
	}
}

func keepDelivered(s *queue.Settings) { s.KeepDelivered = 24 * time.Hour }

var jumping = []testCase{
	{name: "jump: a clock that is set far ahead deletes nothing at once", settings: keepDelivered, test: func(h *harness) {
		h.storeOneOfEach()
		h.Jump(far)
		h.wantOneOfEach()
		h.Advance(59 * time.Minute)
		h.wantOneOfEach()
		h.Advance(time.Minute) // it has stood for an hour
		h.wantNoneOfEach()
	}},
	{name: "jump: a clock that is set right again has deleted nothing", settings: keepDelivered, test: func(h *harness) {
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
	{name: "jump: what has been kept for long enough is deleted meanwhile", settings: func(s *queue.Settings) {
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
		h.gone("delivered")
		h.record("dead")
	}},
	{name: "jump: a queue that is opened by a clock far ahead deletes nothing at once", settings: keepDelivered, test: func(h *harness) {
		h.storeOneOfEach()
		for range 2 {
			h.Jump(far)
			h.Queue = h.Reopen(h.settings)
			h.wantOneOfEach()
			// What is stored by that clock does not vouch for it.
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
		name:     "jump: an id is remembered for as long as the window says",
		settings: func(s *queue.Settings) { s.HistoryRetention = time.Minute },
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.wait(time.Minute)
			h.gone("a")
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
	{name: "jump: a queue that is opened again soon goes on by the clock", test: func(h *harness) {
		h.storeOneOfEach()
		h.wait(h.settings.DeadRetention - time.Minute) // in which nothing is written but the time
		h.Queue = h.Reopen(h.settings)
		h.wait(time.Minute)
		h.gone("dead")
	}},
	{name: "jump: a clock that is set back deletes nothing too early", settings: keepDelivered, test: func(h *harness) {
		h.store("before", "lab")
		h.Jump(-far)
		h.storeOneOfEach()
		h.wantOneOfEach()
		h.Jump(far)
		h.wantOneOfEach()
		h.Advance(23 * time.Hour)
		h.wantOneOfEach()
	}},
}
