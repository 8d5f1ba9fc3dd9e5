package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// completing has the cases of stages before the deliveries.
var completing = []testCase{
	{name: "complete: no delivery is due before the completion", test: func(h *harness) {
		at := h.Now()
		h.storeStaged("a", "ehr")
		for range 3 { // first before it is filed, then after reopening
			h.wantIDs(h.claim("ehr", 10))
			h.wantIDs(h.claim(cleanup, 10))
			d := h.claimOne(completion, "a")
			h.wantStats(queue.UpstreamStats{Pending: 1, OldestPending: at}, map[string]queue.UpstreamStats{completion: {Pending: 1, InFlight: 1, OldestPending: at}})
			h.wantStates("a", queue.Pending, "ehr pending")
			h.wantStages("a", map[string]queue.State{completion: queue.Pending, cleanup: queue.Pending})
			h.wantLoad(d, Event("a", at))
			h.Release(d)
			h.reopen()
		}
	}},
	{name: "complete: the completed event takes the place of the stored one", test: func(h *harness) {
		for i, n := range []int{0, 1, 100_000} {
			h.storeStaged("a", "ehr")
			if i > 0 {
				h.reopen()
			}
			d := h.claimOne(completion, "a")
			before := h.stats().Bytes
			want := h.complete(d, n)
			if after := h.stats().Bytes; after != before+int64(n) {
				h.Fatalf("%d bytes after the completion, %d before it", after, before)
			}
			h.wantStages("a", map[string]queue.State{completion: queue.Delivered, cleanup: queue.Pending})
			for range 3 {
				h.wantIDs(h.claim(completion, 10))
				h.wantPayload("a", nil)
				d = h.claimOne("ehr", "a")
				h.wantLoad(d, want)
				if d.Size != h.stats().Bytes || d.Attempts != 0 || d.History != nil {
					h.Fatalf("claimed %+v, want the size of the completed event", d)
				}
				h.reopen()
			}
			h.deliver(h.claimOne("ehr", "a"))
			h.wantPayload("a", queue.ErrNoPayload)
			h.purge(queue.PurgeSelection{IDs: []string{"a"}}, 1)
			h.wantEmpty()
		}
	}},
	{name: "complete: without an event the stored one stays", test: func(h *harness) {
		at := h.Now()
		h.storeStaged("a", "ehr", "warehouse")
		h.settle(h.claimOne(completion, "a"), queue.Outcome{State: queue.Delivered, Result: queue.Success, Used: true})
		h.wantLoad(h.claimOne("warehouse", "a"), Event("a", at))
		h.reopen()
		h.wantLoad(h.claimOne("ehr", "a"), Event("a", at))
		h.wantIDs(h.claim(completion, 10))
	}},
	{name: "complete: a durable completion is not repeated after a crash", test: func(h *harness) {
		if !h.has(h.Crash != nil, "Crash") {
			return
		}
		h.storeStaged("a", "ehr")
		want := h.complete(h.claimOne(completion, "a"), 1000)
		h.storeStaged("b", "ehr")
		h.settle(h.claimOne(completion, "b"), queue.Outcome{State: queue.Delivered, Result: queue.Success, Retain: true})
		h.Queue = h.Crash(h.settings)
		h.wantIDs(h.claim(completion, 10))
		ds := h.claim("ehr", 10)
		h.wantIDs(ds, "a", "b")
		h.wantLoad(ds[0], want)
		for _, d := range ds {
			h.deliver(d)
		}
		h.wantIDs(h.claim(cleanup, 10), "a")
	}},
	{name: "complete: a retry has the history of the attempts", test: func(h *harness) {
		h.storeStaged("a", "ehr")
		began := h.Now()
		h.retry(h.claimOne(completion, "a"), time.Minute)
		c := h.claimed(completion, queue.Want{First: 9, Retry: 9})
		if h.wantIDs(c.Deliveries); !c.Next.Equal(began.Add(time.Minute)) {
			h.Fatalf("Next is %v, want in a minute", c.Next)
		}
		h.Advance(time.Minute)
		for range 2 {
			d := h.claimOne(completion, "a")
			if len(d.History) != 1 || !d.History[0].At.Equal(began) || d.History[0].Status != 500 || d.Attempts != 1 || d.Used != 1 {
				h.Fatalf("claimed %+v, want one attempt in its history", d)
			}
			h.reopen()
		}
		h.complete(h.claimOne(completion, "a"), 1)
		r := h.record("a").Stages
		if i := slices.IndexFunc(r, func(d queue.DeliveryRecord) bool { return d.Upstream == completion }); len(r[i].History) != 2 || r[i].Attempts != 2 {
			h.Fatalf("stages %+v, want two attempts of the completion", r)
		}
		h.claimOne("ehr", "a")
	}},
	{name: "complete: deliveries are due in order of arrival, however late they are completed", test: func(h *harness) {
		const n = 700
		ids := numbered("e", n)
		for i, id := range ids {
			if i%3 == 0 {
				h.store(id, "ehr")
			} else {
				h.store(id, "ehr", completion)
			}
		}
		ds := h.claim(completion, n)
		first := h.claim("ehr", 1) // reads ahead
		h.wantIDs(first, "e0")
		slices.Reverse(ds)
		for _, d := range ds {
			h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Delivered, Result: queue.Success})
		}
		h.Flush()
		h.wantIDs(h.claim("ehr", 5), ids[1:6]...)
		h.wantIDs(h.claim("ehr", n), ids[6:]...)
	}},
	{name: "complete: no Load returns an event that was completed since", test: func(h *harness) {
		const n = 150
		done := make(chan struct{})
		var wg sync.WaitGroup
		h.storeMany(numbered("e", n), "ehr", completion)
		wg.Go(func() { // the completion
			defer close(done)
			for left := n; left > 0 && !h.Failed(); {
				c, err := h.Claim(completion, h.Now(), queue.Want{First: 8})
				if err != nil {
					h.Errorf("Claim: %v", err)
				}
				for _, d := range c.Deliveries {
					e, err := h.Load(d)
					if err != nil {
						h.Errorf("Load: %v", err)
						return
					}
					h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Delivered, Result: queue.Success, Event: completed(e, 0)})
				}
				left -= len(c.Deliveries)
			}
		})
		wg.Go(func() { // the upstream
			for left := n; left > 0 && !h.Failed() && h.Context().Err() == nil; {
				c, err := h.Claim("ehr", h.Now(), queue.Want{First: 8})
				if err != nil {
					h.Errorf("Claim: %v", err)
				}
				for _, d := range c.Deliveries {
					if e, err := h.Load(d); err != nil || e.Status != "confirmed" {
						h.Errorf("Load(%s): %+v, %v; want the completed event", d.EventID, e, err)
					}
				}
				left -= len(c.Deliveries)
			}
		})
		wg.Wait()
		<-done
		h.Flush()
		if s := h.stats(); len(s.Stages) != 0 || s.Upstreams["ehr"].InFlight != n {
			h.Fatalf("stats %+v, want all deliveries in flight and no stage", s)
		}
	}},
	{
		name:     "complete: a completed event is stored however full the queue is",
		settings: func(s *queue.Settings) { s.MaxSize = 2000 },
		test: func(h *harness) {
			h.storeStaged("a", "ehr")
			d := h.claimOne(completion, "a")
			for i := 0; h.tryStore(fmt.Sprint("filler", i), 50*time.Millisecond) == nil; i++ {
			}
			want := h.complete(d, 50_000)
			h.wantLoad(h.claim("ehr", 1)[0], want)
		},
	},
	{name: "complete: wake is called for the upstreams, and for the cleanup at the end", test: func(h *harness) {
		h.storeStaged("a", "ehr", "warehouse")
		d := h.claimOne(completion, "a")
		var mu sync.Mutex
		woken := make(map[string]bool)
		h.Notify(func(upstream string) {
			mu.Lock()
			defer mu.Unlock()
			woken[upstream] = true
		})
		want := func(upstreams ...string) {
			h.Helper()
			h.Flush()
			mu.Lock()
			defer mu.Unlock()
			for _, u := range upstreams {
				if !woken[u] {
					h.Fatalf("%v are woken, want %v", woken, upstreams)
				}
			}
			clear(woken)
		}
		h.complete(d, 1)
		want("ehr", "warehouse")
		for _, u := range []string{"ehr", "warehouse"} {
			h.deliver(h.claimOne(u, "a"))
		}
		want(cleanup)
	}},
	{name: "complete: an outcome that a delivery cannot have is a release", test: func(h *harness) {
		h.storeStaged("a", "ehr")
		for _, o := range []queue.Outcome{
			{State: queue.Dead},
			{State: queue.Quarantined},
			{State: queue.Delivered, Event: Event("b", h.Now())},
			{State: queue.Pending, Event: Event("a", h.Now())},
		} {
			h.settle(h.claimOne(completion, "a"), o)
		}
		h.complete(h.claimOne(completion, "a"), 1)
		for _, o := range []queue.Outcome{{State: queue.Unconfirmed}, {State: queue.Delivered, Event: Event("a", h.Now())}} {
			h.settle(h.claimOne("ehr", "a"), o)
		}
		if d := delivery(h.record("a"), "ehr"); d.State != queue.Pending || d.Attempts != 0 {
			h.Fatalf("delivery %+v, want it pending without an attempt", d)
		}
	}},
	{name: "complete: an outcome is recorded once storage works again", test: func(h *harness) {
		if !h.has(h.FailWrites != nil, "FailWrites") {
			return
		}
		h.storeStaged("a", "ehr")
		d := h.claimOne(completion, "a")
		e, err := h.Load(d)
		if err != nil {
			h.Fatal(err)
		}
		want := completed(e, 1000)
		h.FailWrites(true)
		h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Delivered, Result: queue.Success, Event: want})
		h.wantIDs(h.claim("ehr", 1))
		h.FailWrites(false)
		h.store("b", "warehouse") // stored after the outcome, or soon before it
		for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
			if ds := h.claim("ehr", 1); len(ds) == 1 {
				h.wantLoad(ds[0], want)
				return
			}
			if time.Now().After(end) {
				h.Fatal("the completion was not recorded within a minute")
			}
		}
	}},
	{name: "complete: a completed event is readable after a rotation of the keys", test: func(h *harness) {
		if !h.has(h.Rotate != nil, "Rotate") {
			return
		}
		h.storeStaged("a", "ehr")
		h.storeStaged("b", "ehr")
		ds := h.claim(completion, 2)
		a := h.complete(ds[0], 1000)
		if err := h.Rotate(); err != nil {
			h.Fatal(err)
		}
		b := h.complete(ds[1], 1000)
		h.reopen()
		ds = h.claim("ehr", 10)
		h.wantIDs(ds, "a", "b")
		h.wantLoad(ds[0], a)
		h.wantLoad(ds[1], b)
	}},
}
