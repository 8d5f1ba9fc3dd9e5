package queuetest

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var storing = []testCase{
	{name: "store: an event comes back as it was", test: func(h *harness) {
		want := Event("a", h.Now())
		h.storeItem(queue.Item{Event: want, Upstreams: []string{"ehr"}})
		d := h.claimOne("ehr", "a")
		for range 2 { // once as it is, once reopened
			e, err := h.Load(d)
			if err != nil || !same(e, want) {
				h.Fatalf("Load: %+v, %v; want %+v", e, err, want)
			}
			h.reopen()
		}
	}},
	{name: "store: a delivery tells of its event", test: func(h *harness) {
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		d.Seq = 0
		want := queue.Delivery{EventID: "a", Provider: "soapnoteapi", Type: "note.generated", Upstream: "ehr", Size: h.stats().Bytes, ReceivedAt: h.Now()}
		if d != want {
			h.Fatalf("claimed %+v, want %+v", d, want)
		}
	}},
	{name: "store: an id that is in the store is a duplicate", test: func(h *harness) {
		h.store("a", "ehr")
		h.storeAgain("a", "ehr", "warehouse")
		if n := len(h.record("a").Deliveries); n != 1 {
			h.Fatalf("the duplicate changed the fan-out: %d deliveries, want 1", n)
		}
		h.reopen()
		h.storeAgain("a", "ehr")
		h.wantIDs(h.claim("ehr", 10), "a")
	}},
	{name: "store: a pending id is a duplicate beyond the window", test: func(h *harness) {
		h.store("a", "ehr")
		h.wait(2 * h.settings.DedupeWindow)
		h.storeAgain("a", "ehr")
		h.kill(h.claimOne("ehr", "a"))
		h.wait(2 * h.settings.DedupeWindow)
		h.storeAgain("a", "ehr")
	}},
	{name: "store: a delivered id is a duplicate while its trace is kept", test: func(h *harness) {
		h.store("a", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		h.storeAgain("a", "ehr")
		h.wait(h.settings.HistoryRetention - time.Second) // longer than the window
		h.storeAgain("a", "ehr")
		h.wait(time.Second)
		h.store("a", "ehr")
		h.wantIDs(h.claim("ehr", 10), "a")
	}},
	{
		name:     "store: an id is remembered for the window though its trace has gone",
		settings: func(s *queue.Settings) { s.HistoryRetention = time.Hour },
		test: func(h *harness) {
			h.store("a", "ehr")
			h.deliver(h.claimOne("ehr", "a"))
			h.wait(time.Hour)
			_, err := h.Queue.Event(h.Context(), "a")
			h.wantErr("Event", err, queue.ErrNotFound)
			h.reopen()
			h.storeAgain("a", "ehr")
			h.wait(h.settings.DedupeWindow - time.Hour - time.Nanosecond)
			h.storeAgain("a", "ehr")
			h.Advance(time.Nanosecond) // and the sweep may not have come by
			h.store("a", "ehr")
			h.wait(h.settings.DedupeWindow) // the first receipt's entry must not take the second's along
			h.storeAgain("a", "ehr")
		},
	},
	{name: "store: one at a time wins among many with one id", test: func(h *harness) {
		var fresh atomic.Int64
		var wg sync.WaitGroup
		for range 32 {
			wg.Go(func() {
				r, err := h.Store(h.Context(), queue.Item{Event: Event("a", h.Now()), Upstreams: []string{"ehr"}})
				if err != nil {
					h.Errorf("Store: %v", err)
				}
				if !r.Duplicate {
					fresh.Add(1)
				}
			})
		}
		wg.Wait()
		if fresh.Load() != 1 {
			h.Fatalf("%d of the stores were told that theirs is new, want 1", fresh.Load())
		}
		h.wantIDs(h.claim("ehr", 10), "a")
	}},
	{name: "store: an event for nobody leaves its trace only", test: func(h *harness) {
		h.store("a")
		h.storeAgain("a")
		if r := h.record("a"); r.HasPayload || len(r.Deliveries) != 0 {
			h.Fatalf("record %+v, want no payload and no deliveries", r)
		}
		if b := h.stats().Bytes; b != 0 {
			h.Fatalf("%d bytes of sealed records, want 0", b)
		}
		h.wait(h.settings.HistoryRetention)
		_, err := h.Queue.Event(h.Context(), "a")
		h.wantErr("Event", err, queue.ErrNotFound)
	}},
	{name: "store: a quarantined event is kept and never delivered", test: func(h *harness) {
		h.storeItem(queue.Item{Event: Event("a", h.Now()), Upstreams: []string{"ehr"}, Quarantined: true, Reason: Reason})
		h.wantIDs(h.claim("ehr", 10))
		if r := h.record("a"); !r.Quarantined || r.Reason != Reason || !r.HasPayload || len(r.Deliveries) != 0 {
			h.Fatalf("record %+v, want a quarantined one with its reason, payload and no deliveries", r)
		}
		h.wantPayload("a", nil)
	}},
	{name: "store: an upstream that is named twice gets an event once", test: func(h *harness) {
		h.store("a", "ehr", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		h.wantIDs(h.claim("ehr", 10))
	}},
	{name: "store: a context that has ended stores nothing", test: func(h *harness) {
		ctx, cancel := context.WithCancel(h.Context())
		cancel()
		_, err := h.Store(ctx, queue.Item{Event: Event("a", h.Now()), Upstreams: []string{"ehr"}})
		h.wantErr("Store", err, context.Canceled)
		h.store("a", "ehr")
	}},
	{name: "store: a closed queue says so", test: func(h *harness) {
		h.store("a", "ehr")
		if err := h.Close(); err != nil {
			h.Fatal(err)
		}
		_, err := h.Store(h.Context(), queue.Item{Event: Event("b", h.Now())})
		h.wantErr("Store", err, queue.ErrClosed)
		_, err = h.Claim("ehr", h.Now(), queue.Want{First: 1})
		h.wantErr("Claim", err, queue.ErrClosed)
		_, err = h.Events(h.Context(), queue.Filter{Limit: 1})
		h.wantErr("Events", err, queue.ErrClosed)
		_, err = h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"a"}})
		h.wantErr("Replay", err, queue.ErrClosed)
		_, err = h.Stats()
		h.wantErr("Stats", err, queue.ErrClosed)
		if err := h.Close(); err != nil {
			h.Fatalf("closing again: %v", err)
		}
	}},
	{name: "store: all of many writers' events are there", test: func(h *harness) {
		const writers, each = 8, 40
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				for i := range each {
					id := fmt.Sprintf("%d-%d", w, i)
					if _, err := h.Store(h.Context(), queue.Item{Event: Event(id, h.Now()), Upstreams: []string{"ehr"}}); err != nil {
						h.Errorf("Store(%s): %v", id, err)
					}
				}
			})
		}
		wg.Wait()
		h.reopen()
		next := make(map[string]int)
		ds := h.claim("ehr", writers*each+1)
		for _, d := range ds {
			var w, i int
			if _, err := fmt.Sscanf(d.EventID, "%d-%d", &w, &i); err != nil {
				h.Fatal(err)
			}
			if key := fmt.Sprint(w); next[key] != i {
				h.Fatalf("writer %d's event %d is claimed before %d", w, i, next[key])
			} else {
				next[key]++
			}
		}
		if len(ds) != writers*each {
			h.Fatalf("%d events, want %d", len(ds), writers*each)
		}
	}},
}
