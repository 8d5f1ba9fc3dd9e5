package queuetest

import (
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func (h *harness) replay(s queue.ReplaySelection, want queue.Replayed) {
	h.Helper()
	got, err := h.Replay(h.Context(), s)
	if err != nil || got != want {
		h.Fatalf("Replay(%+v): %+v, %v; want %+v", s, got, err, want)
	}
}

var replaying = []testCase{
	{name: "replay: a delivery whose outcome was just settled is not claimed", test: func(h *harness) {
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		h.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Pending, Result: queue.Failure, Used: true, Next: h.Now().Add(24 * time.Hour)})
		h.replay(queue.ReplaySelection{Since: h.Now().Add(-time.Hour)}, queue.Replayed{Deliveries: 1})
		if d = h.claimOne("ehr", "a"); d.Attempts != 0 || d.Used != 0 {
			h.Fatalf("%d attempts and %d used, want none", d.Attempts, d.Used)
		}
	}},
	{name: "replay: a dead event gets a new budget and keeps its history", test: func(h *harness) {
		h.store("a", "ehr")
		h.retry(h.claimOne("ehr", "a"), 0)
		h.fail(h.claimOne("ehr", "a"))
		h.replay(queue.ReplaySelection{IDs: []string{"a"}}, queue.Replayed{Deliveries: 1})
		if s := h.stats().Upstreams["ehr"]; s.Pending != 1 || s.Dead != 0 {
			h.Fatalf("stats %+v, want one pending", s)
		}
		h.reopen()
		d := h.claimOne("ehr", "a")
		if d.Attempts != 0 || d.Used != 0 {
			h.Fatalf("%d attempts and %d used, want none", d.Attempts, d.Used)
		}
		h.deliver(d)
		got := delivery(h.record("a"), "ehr")
		if len(got.History) != 3 || got.History[2].Number != 1 || got.Attempts != 1 {
			h.Fatalf("delivery %+v, want three attempts, with number 1 for the last", got)
		}
		h.wantPayload("a", queue.ErrNoPayload)
		h.wait(h.settings.HistoryRetention)
		h.wantGone("a")
	}},
	{name: "replay: one upstream of an event", test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		h.fail(h.claimOne("ehr", "a"))
		h.fail(h.claimOne("warehouse", "a"))
		h.replay(queue.ReplaySelection{IDs: []string{"a"}, Upstreams: []string{"ehr"}}, queue.Replayed{Deliveries: 1})
		h.wantIDs(h.claim("warehouse", 10))
		h.deliver(h.claimOne("ehr", "a"))
		h.wantPayload("a", nil) // the delivery to warehouse is still dead
		h.wait(h.settings.DeadRetention)
		h.wantGone("a")
	}},
	{name: "replay: a delivered event whose payload is kept", settings: func(s *queue.Settings) { s.KeepDelivered = time.Hour }, test: func(h *harness) {
		h.store("a", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		h.replay(queue.ReplaySelection{IDs: []string{"a", "a"}}, queue.Replayed{Deliveries: 1})
		h.wait(2 * h.settings.HistoryRetention) // the event is pending again, and kept
		d := h.claimOne("ehr", "a")
		if _, err := h.Load(d); err != nil {
			h.Fatal(err)
		}
		h.deliver(d)
		h.wait(time.Hour)
		h.wantPayload("a", queue.ErrNoPayload)
	}},
	{name: "replay: by id all or none", test: func(h *harness) {
		everyState(h)
		for _, c := range []struct {
			id   string
			want error
		}{
			{"unknown", queue.ErrNotFound},
			{"delivered", queue.ErrNoPayload},
			{"no upstream", queue.ErrNoPayload},
			{"quarantined", queue.ErrInvalid},
		} {
			_, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"dead", c.id}})
			h.wantErr("Replay with "+c.id, err, c.want)
		}
		_, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"dead"}, Upstreams: []string{"warehouse", "unknown"}})
		h.wantErr("Replay for an upstream without a delivery of it", err, queue.ErrNotFound)
		if got := delivery(h.record("dead"), "ehr").State; got != queue.Dead {
			h.Fatalf("dead became %s by a replay that returned an error", got)
		}
	}},
	{name: "replay: dead deliveries to one upstream or to all", test: func(h *harness) {
		for _, id := range []string{"a", "b"} {
			h.store(id, "ehr", "warehouse")
			h.fail(h.claimOne("ehr", id))
			h.fail(h.claimOne("warehouse", id))
		}
		h.store("pending", "ehr")
		h.replay(queue.ReplaySelection{State: queue.Dead, Upstreams: []string{"ehr"}}, queue.Replayed{Deliveries: 2})
		h.wantIDs(h.claim("ehr", 10), "a", "b", "pending")
		h.wantIDs(h.claim("warehouse", 10))
		h.replay(queue.ReplaySelection{State: queue.Dead}, queue.Replayed{Deliveries: 2})
		h.wantIDs(h.claim("warehouse", 10), "a", "b")
		h.replay(queue.ReplaySelection{State: queue.Dead}, queue.Replayed{})
	}},
	{name: "replay: an event that is dead for two upstreams is two deliveries", test: func(h *harness) {
		for _, s := range []queue.ReplaySelection{{State: queue.Dead}, {IDs: []string{"a"}}, {Since: h.Now()}} {
			h.store("a", "ehr", "warehouse")
			h.fail(h.claimOne("ehr", "a"))
			h.fail(h.claimOne("warehouse", "a"))
			h.replay(s, queue.Replayed{Deliveries: 2})
			h.claimOne("ehr", "a")
			h.claimOne("warehouse", "a")
			h.purge(queue.PurgeSelection{IDs: []string{"a"}, Force: true}, 1)
		}
	}},
	{name: "replay: deliveries to other upstreams stay unchanged", test: func(h *harness) {
		h.store("old", "old")
		h.fail(h.claimOne("old", "old"))
		h.store("both", "ehr", "old", "warehouse")
		h.fail(h.claimOne("old", "both"))
		h.fail(h.claimOne("ehr", "both"))
		h.fail(h.claimOne("warehouse", "both"))
		configured := []string{"ehr", "warehouse"}
		_, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"both", "old"}, Upstreams: configured})
		h.wantErr("Replay of an event without a delivery to any of the upstreams", err, queue.ErrNotFound)
		h.wantStates("both", queue.Dead, "ehr dead", "old dead", "warehouse dead")
		h.replay(queue.ReplaySelection{State: queue.Dead, Upstreams: configured}, queue.Replayed{Deliveries: 2})
		h.wantStates("both", queue.Dead, "ehr pending", "old dead", "warehouse pending")
		h.wantStates("old", queue.Dead, "old dead")
		h.replay(queue.ReplaySelection{Since: h.Now(), Upstreams: configured}, queue.Replayed{Deliveries: 2})
		h.replay(queue.ReplaySelection{IDs: []string{"both"}, Upstreams: []string{"ehr"}}, queue.Replayed{Deliveries: 1})
		h.wantStates("both", queue.Dead, "ehr pending", "old dead", "warehouse pending")
	}},
	{name: "replay: events that were received since a time", settings: func(s *queue.Settings) { s.KeepDelivered = time.Hour }, test: func(h *harness) {
		h.store("old", "ehr")
		h.fail(h.claimOne("ehr", "old"))
		h.Advance(time.Minute)
		since := h.Now()
		h.store("claimed", "ehr")
		h.claimOne("ehr", "claimed")
		h.store("delivered", "ehr")
		h.deliver(h.claimOne("ehr", "delivered"))
		h.store("dead", "ehr")
		h.fail(h.claimOne("ehr", "dead"))
		h.store("retry", "ehr")
		h.retry(h.claimOne("ehr", "retry"), time.Hour)
		h.storeItem(queue.Item{Event: Event("late", since.Add(-time.Second)), Upstreams: []string{"ehr"}}, false)
		h.fail(h.claimOne("ehr", "late")) // received before the time and stored after it
		h.setAside("quarantined", queue.Quarantined)
		h.setAside("unrouted", queue.Unrouted)
		h.setAside("unconfirmed", queue.Unconfirmed)
		h.store("no upstream")
		h.replay(queue.ReplaySelection{Since: since, Route: routeTo("ehr")}, queue.Replayed{Deliveries: 3})
		ds := h.claim("ehr", 10)
		h.wantIDs(ds, "delivered", "dead", "retry")
		if d := ds[2]; d.Attempts != 0 || d.Used != 0 {
			h.Fatalf("%d attempts and %d used, want none", d.Attempts, d.Used)
		}
	}},
	{name: "replay: events without payload are skipped and counted", test: func(h *harness) {
		since := h.Now()
		h.store("delivered", "ehr")
		h.deliver(h.claimOne("ehr", "delivered"))
		h.store("dead", "ehr")
		h.fail(h.claimOne("ehr", "dead"))
		h.replay(queue.ReplaySelection{Since: since}, queue.Replayed{Deliveries: 1, WithoutPayload: 1})
		h.replay(queue.ReplaySelection{Since: since, Upstreams: []string{"warehouse"}}, queue.Replayed{})
	}},
	{name: "replay: a claimed delivery is skipped", test: func(h *harness) {
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		h.replay(queue.ReplaySelection{IDs: []string{"a"}}, queue.Replayed{})
		h.wantIDs(h.claim("ehr", 10))
		h.deliver(d)
		h.wantPayload("a", queue.ErrNoPayload)
	}},
	{name: "replay: more events than fit into one transaction", test: func(h *harness) {
		ids := h.storeManyDead(450)
		h.replay(queue.ReplaySelection{State: queue.Dead}, queue.Replayed{Deliveries: len(ids)})
		if ds := h.claim("ehr", len(ids)+1); len(ds) != len(ids) {
			h.Fatalf("%d deliveries are due, want %d", len(ds), len(ids))
		}
	}},
	{name: "replay: a selection is of exactly one kind", test: func(h *harness) {
		for _, s := range []queue.ReplaySelection{
			{},
			{Upstreams: []string{"ehr"}},
			{IDs: []string{"a"}, State: queue.Dead, Since: h.Now()},
			{IDs: []string{"a"}, Since: h.Now()},
			{IDs: []string{"a"}, Match: all},
			{Since: h.Now(), Match: all},
			{IDs: []string{"a"}, State: queue.Quarantined},
			{State: queue.Pending},
			{State: queue.Delivered},
			{State: queue.Quarantined},
			{State: queue.Unrouted, Since: h.Now()},
			{State: queue.Dead, Since: h.Now()},
		} {
			_, err := h.Replay(h.Context(), s)
			h.wantErr(fmt.Sprintf("Replay(%+v)", s), err, queue.ErrInvalid)
		}
	}},
}
