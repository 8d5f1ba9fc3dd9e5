package queuetest

import (
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var settling = []testCase{
	{name: "settle: the payload is deleted with the last delivery", test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		h.deliver(h.claimOne("ehr", "a"))
		h.wantPayload("a", nil)
		h.deliver(h.claimOne("warehouse", "a"))
		h.wantPayload("a", queue.ErrNoPayload)
		h.reopen()
		h.wantPayload("a", queue.ErrNoPayload)
		h.wantIDs(h.claim("ehr", 10))
		h.wantEmpty()
	}},
	{name: "settle: the history has each attempt", test: func(h *harness) {
		h.store("a", "ehr")
		began := h.Now()
		h.settle(h.claimOne("ehr", "a"), queue.Outcome{State: queue.Pending, Result: queue.ConnectError, Duration: time.Second, Next: began.Add(time.Minute)})
		h.Advance(time.Minute)
		d := h.claimOne("ehr", "a")
		if d.Attempts != 1 || d.Used != 0 {
			h.Fatalf("%d attempts and %d used, want 1 and 0", d.Attempts, d.Used)
		}
		if want := began.Add(time.Second); !d.LastEnded.Equal(want) {
			h.Fatalf("the attempt ended at %v, want %v", d.LastEnded, want)
		}
		h.settle(d, queue.Outcome{State: queue.Dead, Result: queue.Gone, Status: 410, Used: true, Duration: 2 * time.Second})
		h.reopen()
		got := delivery(h.record("a"), "ehr")
		want := []queue.Attempt{
			{Number: 1, At: began, Duration: time.Second, Result: queue.ConnectError},
			{Number: 2, At: began.Add(time.Minute), Duration: 2 * time.Second, Result: queue.Gone, Status: 410, Used: true},
		}
		if fmt.Sprint(got.History) != fmt.Sprint(want) || got.State != queue.Dead || got.Attempts != 2 || got.Used != 1 {
			h.Fatalf("delivery %+v, want dead with history %+v", got, want)
		}
	}},
	{name: "settle: the history keeps the newest attempts", test: func(h *harness) {
		h.store("a", "ehr")
		const attempts = queue.MaxHistory + 7
		for range attempts {
			h.retry(h.claimOne("ehr", "a"), 0)
		}
		got := delivery(h.record("a"), "ehr")
		if len(got.History) != queue.MaxHistory || got.Attempts != attempts || got.Used != attempts {
			h.Fatalf("%d attempts, %d used and a history of %d, want %d and %d", got.Attempts, got.Used, len(got.History), attempts, queue.MaxHistory)
		}
		if first, last := got.History[0].Number, got.History[queue.MaxHistory-1].Number; first != 8 || last != attempts {
			h.Fatalf("the history is of attempts %d to %d, want 8 to %d", first, last, attempts)
		}
	}},
	{name: "settle: a record has the time of the next attempt", test: func(h *harness) {
		h.store("a", "ehr")
		if next := delivery(h.record("a"), "ehr").NextAttempt; !next.IsZero() {
			h.Fatalf("next attempt of a new event at %v, want none", next)
		}
		h.retry(h.claimOne("ehr", "a"), time.Minute)
		if next := delivery(h.record("a"), "ehr").NextAttempt; !next.Equal(h.Now().Add(time.Minute)) {
			h.Fatalf("next attempt at %v, want in a minute", next)
		}
	}},
	{name: "settle: a dead delivery keeps the payload and the other deliveries", test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		h.fail(h.claimOne("ehr", "a"))
		h.wantIDs(h.claim("ehr", 10))
		h.deliver(h.claimOne("warehouse", "a"))
		h.wantPayload("a", nil)
		h.reopen()
		h.wantPayload("a", nil)
		h.wantStates("a", queue.Dead, "ehr dead", "warehouse delivered")
	}},
	{name: "settle: outcomes of one event that become durable together", test: func(h *harness) {
		h.storeMany(numbered("e", 20), "ehr", "warehouse", "lab")
		byEvent := make(map[string][]queue.Delivery)
		for _, u := range []string{"ehr", "warehouse", "lab"} {
			for _, d := range h.claim(u, 20) {
				byEvent[d.EventID] = append(byEvent[d.EventID], d)
			}
		}
		for i := range 20 {
			for _, d := range byEvent[fmt.Sprint("e", i)] {
				o := queue.Outcome{Delivery: d, At: h.Now(), State: queue.Delivered, Result: queue.Success, Used: true}
				if i%2 == 1 && d.Upstream == "lab" {
					o.State, o.Result = queue.Dead, queue.Failure
				}
				h.Queue.Settle(o)
			}
		}
		h.Flush()
		for i := range 20 {
			id := fmt.Sprint("e", i)
			if i%2 == 1 {
				h.wantStates(id, queue.Dead, "ehr delivered", "warehouse delivered", "lab dead")
				h.wantPayload(id, nil)
			} else {
				h.wantStates(id, queue.Delivered, "ehr delivered", "warehouse delivered", "lab delivered")
				h.wantPayload(id, queue.ErrNoPayload)
			}
		}
		if s := h.stats(); len(s.Upstreams) != 1 || s.Upstreams["lab"].Dead != 10 {
			h.Fatalf("stats %+v, want ten dead for lab", s)
		}
	}},
	{name: "settle: an outcome counts once", test: func(h *harness) {
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		h.deliver(d)
		h.fail(d)
		if got := delivery(h.record("a"), "ehr"); got.State != queue.Delivered || got.Attempts != 1 {
			h.Fatalf("delivery %+v, want delivered at the first attempt", got)
		}
	}},
	{name: "settle: Close keeps earlier outcomes", test: func(h *harness) {
		for i := range 50 {
			h.store(fmt.Sprint("e", i), "ehr")
		}
		for _, d := range h.claim("ehr", 50) {
			h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Delivered, Result: queue.Success, Used: true})
		}
		h.reopen()
		h.wantIDs(h.claim("ehr", 50))
	}},
	{name: "crash: durable changes are kept, and claimed deliveries are due", test: func(h *harness) {
		if !h.has(h.Crash != nil, "Crash") {
			return
		}
		for _, id := range []string{"a", "b", "c", "d"} {
			h.store(id, "ehr")
		}
		ds := h.claim("ehr", 3)
		h.deliver(ds[0])
		h.retry(ds[1], time.Minute)
		h.Queue = h.Crash(h.settings)
		h.wantIDs(h.claim("ehr", 10), "c", "d")
		h.Advance(time.Minute)
		h.wantIDs(h.claim("ehr", 10), "b")
		h.storeAgain("a", "ehr")
	}},
}
