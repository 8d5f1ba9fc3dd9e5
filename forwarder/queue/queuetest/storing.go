package queuetest

import (
	"context"
	"fmt"
	"math/rand/v2"
	"reflect"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

var storing = []testCase{
	{name: "store: an event is returned unchanged", test: func(h *harness) {
		want := Event("a", h.Now())
		h.storeItem(queue.Item{Event: want, Upstreams: []string{"ehr"}}, false)
		d := h.claimOne("ehr", "a")
		for range 2 { // first before, then after reopening
			e, err := h.Load(d)
			if err != nil || !same(e, want) {
				h.Fatalf("Load: %+v, %v; want %+v", e, err, want)
			}
			h.reopen()
		}
	}},
	{name: "store: a large body, and one that is not text", test: func(h *harness) {
		random := make([]byte, 3<<20)
		_, _ = rand.NewChaCha8([32]byte{1}).Read(random) // never fails
		for id, body := range map[string][]byte{"large": random, "small": random[:1], "bytes": []byte("\x00\xff\xfe{\"a\":\x00}\n")} {
			want := Event(id, h.Now())
			want.Body, want.Note = body, event.Span{}
			for _, it := range []queue.Item{{Event: want, Upstreams: []string{"ehr"}}, asideItem(want, queue.Quarantined)} {
				h.storeItem(it, false)
				for range 2 { // first before, then after reopening
					if e, err := h.Payload(h.Context(), id); err != nil || !same(e, want) {
						h.Fatalf("Payload(%s), %s: not the stored event, %v", id, it.State, err)
					}
					h.reopen()
				}
				h.purge(queue.PurgeSelection{IDs: []string{id}, Force: true}, 1)
			}
		}
		h.wantEmpty()
	}},
	{name: "store: a delivery describes its event", test: func(h *harness) {
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		d.Seq = 0
		want := queue.Delivery{EventID: "a", Provider: "soapnoteapi", Type: "note.generated", Subject: "subject-a", Upstream: "ehr", Size: h.stats().Bytes, ReceivedAt: h.Now()}
		if !reflect.DeepEqual(d, want) {
			h.Fatalf("claimed %+v, want %+v", d, want)
		}
	}},
	{name: "store: an event without upstreams leaves only its trace", test: func(h *harness) {
		h.store("a")
		h.storeAgain("a")
		if r := h.record("a"); r.State != queue.Delivered || r.HasPayload || len(r.Deliveries) != 0 {
			h.Fatalf("record %+v, want delivered, no payload and no deliveries", r)
		}
		h.wantEmpty()
		h.wait(h.settings.HistoryRetention)
		_, err := h.Queue.Event(h.Context(), "a")
		h.wantErr("Event", err, queue.ErrNotFound)
	}},
	{name: "store: an event that is set aside is kept and never delivered", test: func(h *harness) {
		for _, state := range []queue.State{queue.Quarantined, queue.Unrouted, queue.Unconfirmed} {
			it := asideItem(Event(string(state), h.Now()), state)
			it.Upstreams = []string{"ehr"}
			h.storeItem(it, false)
			h.storeAgain(string(state), "ehr")
		}
		for range 2 { // first before, then after reopening
			h.wantIDs(h.claim("ehr", 10))
			for _, state := range []queue.State{queue.Quarantined, queue.Unrouted, queue.Unconfirmed} {
				r := h.record(string(state))
				if r.State != state || !r.HasPayload || len(r.Deliveries) != 0 || (r.Reason == Reason) != (state == queue.Quarantined) {
					h.Fatalf("record %+v, want it %s with its payload, without deliveries, and with a reason only if quarantined", r, state)
				}
				h.wantPayload(string(state), nil)
			}
			if s := h.stats(); s.Quarantined != 1 || s.Unrouted != 1 || s.Unconfirmed != 1 || len(s.Upstreams) != 0 || s.Bytes == 0 {
				h.Fatalf("stats %+v, want one event in each of the states", s)
			}
			h.reopen()
		}
	}},
	{name: "store: an upstream that is listed twice gets the event once", test: func(h *harness) {
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
	{name: "store: a closed queue returns ErrClosed", test: func(h *harness) {
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
	{name: "store: the events of many writers are all stored", test: func(h *harness) {
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
