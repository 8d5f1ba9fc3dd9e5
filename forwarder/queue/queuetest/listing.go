package queuetest

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// everyState stores events in each state, oldest first. Each is named after its state
// or after the deliveries that it waits for.
func everyState(h *harness) {
	h.store("delivered", "ehr")
	h.deliver(h.claimOne("ehr", "delivered"))
	h.store("dead", "ehr")
	h.fail(h.claimOne("ehr", "dead"))
	h.store("retry", "ehr")
	h.retry(h.claimOne("ehr", "retry"), time.Hour)
	for _, s := range []queue.State{queue.Quarantined, queue.Unrouted, queue.Unconfirmed} {
		h.setAside(string(s), s)
	}
	h.store("mixed", "warehouse", "ehr")
	h.fail(h.claimOne("warehouse", "mixed"))
	h.store("first", "warehouse")
	h.store("no upstream")
}

var listing = []testCase{
	{name: "list: by state and upstream, newest first", test: func(h *harness) {
		everyState(h)
		for _, c := range []struct {
			state    queue.State
			upstream string
			want     []string
		}{
			{"", "", []string{"no upstream", "first", "mixed", "unconfirmed", "unrouted", "quarantined", "retry", "dead", "delivered"}},
			{"", "ehr", []string{"mixed", "retry", "dead", "delivered"}},
			{"", "warehouse", []string{"first", "mixed"}},
			{queue.Pending, "", []string{"first", "mixed", "retry"}},
			{queue.Pending, "ehr", []string{"mixed", "retry"}},
			{queue.Pending, "warehouse", []string{"first"}},
			{queue.Dead, "", []string{"mixed", "dead"}},
			{queue.Dead, "ehr", []string{"dead"}},
			{queue.Dead, "warehouse", []string{"mixed"}},
			{queue.Delivered, "", []string{"no upstream", "delivered"}},
			{queue.Delivered, "ehr", []string{"delivered"}},
			{queue.Delivered, "warehouse", []string{}},
			{queue.Quarantined, "", []string{"quarantined"}},
			{queue.Quarantined, "ehr", []string{}},
			{queue.Unrouted, "", []string{"unrouted"}},
			{queue.Unrouted, "ehr", []string{}},
			{queue.Unconfirmed, "", []string{"unconfirmed"}},
			{queue.Unconfirmed, "warehouse", []string{}},
			{"", "unknown", []string{}},
			{queue.Dead, "unknown", []string{}},
		} {
			for _, limit := range []int{1, 2, 100} {
				f := queue.Filter{State: c.state, Upstream: c.upstream, Limit: limit}
				if got := h.list(f); !slices.Equal(got, c.want) {
					h.Errorf("Events(%+v): %v, want %v", f, got, c.want)
				}
			}
		}
	}},
	{name: "list: the last page has no cursor", test: func(h *harness) {
		h.store("a", "ehr")
		h.store("b", "ehr")
		p, err := h.Events(h.Context(), queue.Filter{Limit: 2})
		if err != nil || len(p.Records) != 2 || p.Next != "" {
			h.Fatalf("Events: %+v, %v; want two records and no cursor", p, err)
		}
	}},
	{name: "list: pages continue while events are stored and purged", test: func(h *harness) {
		for i := range 10 {
			h.store(fmt.Sprint("e", i), "ehr")
		}
		p, err := h.Events(h.Context(), queue.Filter{Limit: 4})
		if err != nil {
			h.Fatal(err)
		}
		h.store("new", "ehr")
		if _, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{"e6", "e5"}, Force: true}); err != nil {
			h.Fatal(err)
		}
		if got, want := h.list(queue.Filter{Limit: 4, Cursor: p.Next}), []string{"e4", "e3", "e2", "e1", "e0"}; !slices.Equal(got, want) {
			h.Fatalf("the following pages are %v, want %v", got, want)
		}
	}},
	{name: "list: few among many, by present state", test: func(h *harness) {
		const n = 2100
		ids := make([]string, n)
		for i := range n {
			ids[i] = fmt.Sprint("e", i)
		}
		want := func(f queue.Filter, want ...string) {
			h.Helper()
			for _, f.Limit = range []int{1, 2, 100} {
				if got := h.list(f); !slices.Equal(got, want) {
					h.Fatalf("Events(%+v): %v, want %v", f, got, want)
				}
			}
		}
		h.storeMany(ids[:n/2])
		h.store("few-1", "rare", "ehr")
		h.storeMany(ids[n/2:])
		h.store("few-2", "rare")
		want(queue.Filter{Upstream: "rare"}, "few-2", "few-1")
		want(queue.Filter{State: queue.Delivered})
		ds := h.claim("rare", 10)
		h.wantIDs(ds, "few-1", "few-2")
		h.deliver(ds[0])
		h.fail(ds[1])
		want(queue.Filter{Upstream: "rare"}, "few-2", "few-1")
		want(queue.Filter{State: queue.Delivered}, "few-1")
		want(queue.Filter{State: queue.Delivered, Upstream: "ehr"})
		if _, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"few-1"}, Upstreams: []string{"rare"}}); err != nil {
			h.Fatal(err)
		}
		want(queue.Filter{State: queue.Delivered})
		want(queue.Filter{State: queue.Pending, Upstream: "rare"}, "few-1")
		h.deliver(h.claimOne("rare", "few-1"))
		want(queue.Filter{State: queue.Delivered, Upstream: "rare"}, "few-1")
		h.reopen()
		want(queue.Filter{State: queue.Delivered, Upstream: "rare"}, "few-1")
		if _, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{"few-1"}, Force: true}); err != nil {
			h.Fatal(err)
		}
		want(queue.Filter{State: queue.Delivered})
		want(queue.Filter{Upstream: "rare"}, "few-2")
	}},
	{name: "list: a record without its payload", test: func(h *harness) {
		h.store("a", "ehr")
		p, err := h.Events(h.Context(), queue.Filter{Limit: 1})
		if err != nil || len(p.Records) != 1 {
			h.Fatalf("Events: %+v, %v", p, err)
		}
		want := queue.Record{ID: "a", Provider: "soapnoteapi", Type: "note.generated", Subject: "subject-a", ReceivedAt: h.Now(), State: queue.Pending, HasPayload: true, Deliveries: []queue.DeliveryRecord{{Upstream: "ehr", State: queue.Pending}}}
		if got := p.Records[0]; fmt.Sprint(got) != fmt.Sprint(want) {
			h.Fatalf("record %+v, want %+v", got, want)
		}
		if got := h.record("a"); fmt.Sprint(got) != fmt.Sprint(want) {
			h.Fatalf("record %+v, want %+v", got, want)
		}
	}},
	{name: "list: errors", test: func(h *harness) {
		_, err := h.Events(h.Context(), queue.Filter{Limit: 1, Cursor: "no cursor"})
		h.wantErr("Events with a wrong cursor", err, queue.ErrInvalid)
		_, err = h.Events(h.Context(), queue.Filter{Limit: 1, State: "asleep"})
		h.wantErr("Events with a wrong state", err, queue.ErrInvalid)
		_, err = h.Queue.Event(h.Context(), "unknown")
		h.wantErr("Event", err, queue.ErrNotFound)
		_, err = h.Queue.Event(h.Context(), "")
		h.wantErr("Event", err, queue.ErrNotFound)
		_, err = h.Payload(h.Context(), "unknown")
		h.wantErr("Payload", err, queue.ErrNotFound)
		h.store("a", "ehr")
		ctx, cancel := context.WithCancel(h.Context())
		cancel()
		_, err = h.Events(ctx, queue.Filter{Limit: 1})
		h.wantErr("Events", err, context.Canceled)
	}},
}
