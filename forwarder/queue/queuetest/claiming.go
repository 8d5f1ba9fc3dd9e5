package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var claiming = []testCase{
	{name: "claim: first attempts in order of arrival", test: func(h *harness) {
		for _, id := range []string{"c", "a", "b"} {
			h.store(id, "ehr")
		}
		h.wantIDs(h.claimed("ehr", queue.Want{First: 2}).Deliveries, "c", "a")
		h.wantIDs(h.claimed("ehr", queue.Want{First: 2}).Deliveries, "b")
		h.wantIDs(h.claimed("ehr", queue.Want{First: 2}).Deliveries)
		h.reopen() // claims end with the process
		h.wantIDs(h.claim("ehr", 10), "c", "a", "b")
	}},
	{name: "claim: no more than wanted of each class", test: func(h *harness) {
		for _, id := range []string{"a", "b", "c", "d"} {
			h.store(id, "ehr")
		}
		for _, d := range h.claimed("ehr", queue.Want{First: 2}).Deliveries {
			h.retry(d, 0)
		}
		h.wantIDs(h.claimed("ehr", queue.Want{}).Deliveries)
		h.wantIDs(h.claimed("ehr", queue.Want{Retry: 1}).Deliveries, "a")
		h.wantIDs(h.claimed("ehr", queue.Want{First: 1}).Deliveries, "c")
		h.wantIDs(h.claimed("ehr", queue.Want{First: 5, Retry: 5}).Deliveries, "d", "b")
	}},
	{name: "claim: each upstream has its own deliveries", test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		h.store("b", "warehouse")
		h.wantIDs(h.claim("ehr", 10), "a")
		h.wantIDs(h.claim("warehouse", 10), "a", "b")
		h.wantIDs(h.claim("unknown", 10))
	}},
	{name: "claim: due retries, longest due first", test: func(h *harness) {
		for _, id := range []string{"a", "b", "c"} {
			h.store(id, "ehr")
		}
		for i, d := range h.claim("ehr", 3) {
			h.retry(d, []time.Duration{30 * time.Second, 10 * time.Second, 20 * time.Second}[i])
		}
		c := h.claimed("ehr", queue.Want{First: 9, Retry: 9})
		h.wantIDs(c.Deliveries)
		if want := h.Now().Add(10 * time.Second); !c.Next.Equal(want) {
			h.Fatalf("Next is %v, want %v", c.Next, want)
		}
		h.reopen()
		h.Advance(20 * time.Second)
		c = h.claimed("ehr", queue.Want{First: 9, Retry: 9})
		h.wantIDs(c.Deliveries, "b", "c")
		if want := h.Now().Add(10 * time.Second); !c.Next.Equal(want) {
			h.Fatalf("Next is %v, want %v", c.Next, want)
		}
		h.Advance(10 * time.Second)
		c = h.claimed("ehr", queue.Want{Retry: 9})
		h.wantIDs(c.Deliveries, "a")
		if !c.Next.IsZero() {
			h.Fatalf("Next is %v, want none", c.Next)
		}
	}},
	{name: "claim: a released delivery is due again in the same order", test: func(h *harness) {
		for _, id := range []string{"a", "b", "c"} {
			h.store(id, "ehr")
		}
		ds := h.claim("ehr", 2)
		h.Release(ds[0])
		h.wantIDs(h.claim("ehr", 10), "a", "c")
		h.retry(ds[1], 0)
		d := h.claimOne("ehr", "b")
		h.Release(d)
		if d = h.claimOne("ehr", "b"); d.Attempts != 1 || d.Used != 1 {
			h.Fatalf("released retry has %d attempts and %d used, want 1 and 1", d.Attempts, d.Used)
		}
	}},
	{name: "claim: an event that is purged meanwhile does not delay others", test: func(h *harness) {
		h.store("a", "ehr")
		h.store("b", "ehr")
		ds := h.claim("ehr", 1)
		if _, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{"a"}, Force: true}); err != nil {
			h.Fatal(err)
		}
		_, err := h.Load(ds[0])
		h.wantErr("Load", err, queue.ErrNotFound)
		h.fail(ds[0])
		h.deliver(h.claimOne("ehr", "b"))
		if s := h.stats().Upstreams["ehr"]; s != (queue.UpstreamStats{}) {
			h.Fatalf("stats %+v, want none", s)
		}
	}},
	{name: "claim: a delivery has the size of its sealed record", test: func(h *harness) {
		h.store("a", "ehr")
		size := h.stats().Bytes
		want := func(d queue.Delivery) {
			h.Helper()
			if body := int64(len(Event("a", h.Now()).Body)); d.Size != size || d.Size < body {
				h.Fatalf("size %d, want %d, of a body of %d bytes", d.Size, size, body)
			}
		}
		d := h.claimOne("ehr", "a")
		want(d)
		h.retry(d, 0)
		want(h.claimOne("ehr", "a"))
		h.reopen()
		want(h.claimOne("ehr", "a"))
	}},
	{name: "claim: no delivery is leased twice or lost", test: func(h *harness) {
		const events = 200
		for i := range events {
			h.store(fmt.Sprint("e", i), "ehr")
		}
		var mu sync.Mutex
		leased := make(map[string]bool)
		delivered := make(map[string]int)
		var wg sync.WaitGroup
		for w := range 4 {
			wg.Go(func() {
				for n := 0; ; n++ {
					c, err := h.Claim("ehr", h.Now(), queue.Want{First: 3, Retry: 3})
					if err != nil {
						h.Errorf("Claim: %v", err)
						return
					}
					mu.Lock()
					done := len(delivered) == events
					for _, d := range c.Deliveries {
						if leased[d.EventID] || delivered[d.EventID] > 0 {
							h.Errorf("%s is leased twice, or after it was delivered", d.EventID)
						}
						leased[d.EventID] = true
					}
					mu.Unlock()
					if done {
						return
					}
					for i, d := range c.Deliveries {
						mu.Lock()
						delete(leased, d.EventID)
						switch (n + i + w) % 3 {
						case 0:
							h.Release(d)
						case 1:
							h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Pending, Result: queue.Timeout, Used: true, Next: h.Now()})
						default:
							delivered[d.EventID]++
							h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Delivered, Result: queue.Success, Used: true})
						}
						mu.Unlock()
					}
				}
			})
		}
		wg.Wait()
		h.Flush()
		if s := h.stats().Upstreams["ehr"]; s.Pending != 0 || s.InFlight != 0 {
			h.Fatalf("stats %+v, want nothing pending", s)
		}
	}},
	{name: "notify: wake is called for each upstream with a delivery that is due earlier", test: func(h *harness) {
		var mu sync.Mutex
		var woken []string
		reset := func() {
			h.Flush()
			mu.Lock()
			defer mu.Unlock()
			woken = nil
		}
		want := func(what string, upstreams ...string) {
			h.Helper()
			h.Flush()
			mu.Lock()
			defer mu.Unlock()
			for _, u := range upstreams {
				if !slices.Contains(woken, u) {
					h.Fatalf("%s woke %v, want %v", what, woken, upstreams)
				}
			}
			woken = nil
		}
		h.Notify(func(upstream string) {
			mu.Lock()
			defer mu.Unlock()
			woken = append(woken, upstream)
		})
		h.store("a", "ehr", "warehouse")
		want("Store", "ehr", "warehouse")
		d := h.claimOne("ehr", "a")
		reset()
		h.Release(d)
		want("Release", "ehr")
		h.retry(h.claimOne("ehr", "a"), time.Minute)
		want("a retry that is due before Next of the last Claim", "ehr")
		h.Advance(time.Minute)
		h.fail(h.claimOne("ehr", "a"))
		reset()
		if _, err := h.Replay(h.Context(), queue.ReplaySelection{State: queue.Dead}); err != nil {
			h.Fatal(err)
		}
		want("Replay", "ehr")
	}},
}
