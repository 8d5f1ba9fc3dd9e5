package queuetest

import (
	"fmt"
	"sync"
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

// storeMany stores events from several goroutines at once, for ehr unless others
// are named.
func (h *harness) storeMany(ids []string, upstreams ...string) {
	h.Helper()
	if len(upstreams) == 0 {
		upstreams = []string{"ehr"}
	}
	var wg sync.WaitGroup
	const writers = 32
	for w := range writers {
		wg.Go(func() {
			for i := w; i < len(ids); i += writers {
				if _, err := h.Store(h.Context(), queue.Item{Event: Event(ids[i], h.Now()), Upstreams: upstreams}); err != nil {
					h.Errorf("Store(%s): %v", ids[i], err)
				}
			}
		})
	}
	wg.Wait()
}

var replaying = []testCase{
	{name: "replay: a delivery whose outcome was just told is no longer claimed", test: func(h *harness) {
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		h.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Pending, Result: queue.Failure, Used: true, Next: h.Now().Add(24 * time.Hour)})
		h.replay(queue.ReplaySelection{Since: h.Now().Add(-time.Hour)}, queue.Replayed{Deliveries: 1})
		if d = h.claimOne("ehr", "a"); d.Attempts != 0 || d.Used != 0 {
			h.Fatalf("%d attempts and %d used, want none", d.Attempts, d.Used)
		}
	}},
	{name: "replay: a dead event with a fresh budget and its history", test: func(h *harness) {
		h.store("a", "ehr")
		h.retry(h.claimOne("ehr", "a"), 0)
		h.kill(h.claimOne("ehr", "a"))
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
			h.Fatalf("delivery %+v, want three attempts, the last of them again the first", got)
		}
		h.wantPayload("a", queue.ErrNoPayload)
		h.wait(h.settings.HistoryRetention)
		h.gone("a")
	}},
	{name: "replay: one upstream of an event", test: func(h *harness) {
		h.store("a", "ehr", "warehouse")
		h.kill(h.claimOne("ehr", "a"))
		h.kill(h.claimOne("warehouse", "a"))
		h.replay(queue.ReplaySelection{IDs: []string{"a"}, Upstreams: []string{"ehr"}}, queue.Replayed{Deliveries: 1})
		h.wantIDs(h.claim("warehouse", 10))
		h.deliver(h.claimOne("ehr", "a"))
		h.wantPayload("a", nil) // warehouse's is dead still
		h.wait(h.settings.DeadRetention)
		h.gone("a")
	}},
	{name: "replay: a delivered event whose payload is kept", settings: func(s *queue.Settings) { s.KeepDelivered = time.Hour }, test: func(h *harness) {
		h.store("a", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		h.replay(queue.ReplaySelection{IDs: []string{"a", "a"}}, queue.Replayed{Deliveries: 1})
		h.wait(2 * h.settings.HistoryRetention) // it is pending again, and kept
		d := h.claimOne("ehr", "a")
		if _, err := h.Load(d); err != nil {
			h.Fatal(err)
		}
		h.deliver(d)
		h.wait(time.Hour)
		h.wantPayload("a", queue.ErrNoPayload)
	}},
	{name: "replay: all or none of those named", test: func(h *harness) {
		everyState(h)
		for _, c := range []struct {
			id   string
			want error
		}{
			{"unknown", queue.ErrNotFound},
			{"delivered", queue.ErrNoPayload},
			{"nobody", queue.ErrNoPayload},
			{"quarantined", queue.ErrInvalid},
		} {
			_, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"dead", c.id}})
			h.wantErr("Replay with "+c.id, err, c.want)
		}
		_, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"dead"}, Upstreams: []string{"warehouse", "nobody"}})
		h.wantErr("Replay for an upstream that it is not for", err, queue.ErrNotFound)
		if got := delivery(h.record("dead"), "ehr").State; got != queue.Dead {
			h.Fatalf("dead became %s by a replay that was refused", got)
		}
	}},
	{name: "replay: the dead of one upstream or of all", test: func(h *harness) {
		for _, id := range []string{"a", "b"} {
			h.store(id, "ehr", "warehouse")
			h.kill(h.claimOne("ehr", id))
			h.kill(h.claimOne("warehouse", id))
		}
		h.store("alive", "ehr")
		h.replay(queue.ReplaySelection{Dead: true, Upstreams: []string{"ehr"}}, queue.Replayed{Deliveries: 2})
		h.wantIDs(h.claim("ehr", 10), "a", "b", "alive")
		h.wantIDs(h.claim("warehouse", 10))
		h.replay(queue.ReplaySelection{Dead: true}, queue.Replayed{Deliveries: 2})
		h.wantIDs(h.claim("warehouse", 10), "a", "b")
		h.replay(queue.ReplaySelection{Dead: true}, queue.Replayed{})
	}},
	{name: "replay: an event dead for two is two deliveries", test: func(h *harness) {
		for _, s := range []queue.ReplaySelection{{Dead: true}, {IDs: []string{"a"}}, {Since: h.Now()}} {
			h.store("a", "ehr", "warehouse")
			h.kill(h.claimOne("ehr", "a"))
			h.kill(h.claimOne("warehouse", "a"))
			h.replay(s, queue.Replayed{Deliveries: 2})
			h.claimOne("ehr", "a")
			h.claimOne("warehouse", "a")
			h.purge(queue.PurgeSelection{IDs: []string{"a"}, Force: true}, 1)
		}
	}},
	{name: "replay: deliveries to other upstreams are left alone", test: func(h *harness) {
		h.store("old", "old")
		h.kill(h.claimOne("old", "old"))
		h.store("both", "ehr", "old", "warehouse")
		h.kill(h.claimOne("old", "both"))
		h.kill(h.claimOne("ehr", "both"))
		h.kill(h.claimOne("warehouse", "both"))
		configured := []string{"ehr", "warehouse"}
		_, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"both", "old"}, Upstreams: configured})
		h.wantErr("Replay of an event that is for none of the upstreams", err, queue.ErrNotFound)
		h.states("both", "ehr dead", "old dead", "warehouse dead")
		h.replay(queue.ReplaySelection{Dead: true, Upstreams: configured}, queue.Replayed{Deliveries: 2})
		h.states("both", "ehr pending", "old dead", "warehouse pending")
		h.states("old", "old dead")
		h.replay(queue.ReplaySelection{Since: h.Now(), Upstreams: configured}, queue.Replayed{Deliveries: 2})
		h.replay(queue.ReplaySelection{IDs: []string{"both"}, Upstreams: []string{"ehr"}}, queue.Replayed{Deliveries: 1})
		h.states("both", "ehr pending", "old dead", "warehouse pending")
	}},
	{name: "replay: what was received since", settings: func(s *queue.Settings) { s.KeepDelivered = time.Hour }, test: func(h *harness) {
		h.store("old", "ehr")
		h.kill(h.claimOne("ehr", "old"))
		h.Advance(time.Minute)
		since := h.Now()
		h.store("claimed", "ehr")
		h.claimOne("ehr", "claimed")
		h.store("delivered", "ehr")
		h.deliver(h.claimOne("ehr", "delivered"))
		h.store("dead", "ehr")
		h.kill(h.claimOne("ehr", "dead"))
		h.store("retry", "ehr")
		h.retry(h.claimOne("ehr", "retry"), time.Hour)
		h.quarantine("quarantined")
		h.store("nobody")
		h.replay(queue.ReplaySelection{Since: since}, queue.Replayed{Deliveries: 3})
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
		h.kill(h.claimOne("ehr", "dead"))
		h.replay(queue.ReplaySelection{Since: since}, queue.Replayed{Deliveries: 1, WithoutPayload: 1})
		h.replay(queue.ReplaySelection{Since: since, Upstreams: []string{"warehouse"}}, queue.Replayed{})
	}},
	{name: "replay: a claimed delivery is left to its claim", test: func(h *harness) {
		h.store("a", "ehr")
		d := h.claimOne("ehr", "a")
		h.replay(queue.ReplaySelection{IDs: []string{"a"}}, queue.Replayed{})
		h.wantIDs(h.claim("ehr", 10))
		h.deliver(d)
		h.wantPayload("a", queue.ErrNoPayload)
	}},
	{name: "replay: more events than one transaction takes", test: func(h *harness) {
		ids := make([]string, 450)
		for i := range ids {
			ids[i] = fmt.Sprint("e", i)
		}
		h.storeMany(ids)
		for _, d := range h.claim("ehr", len(ids)) {
			h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Dead, Result: queue.Failure, Used: true})
		}
		h.Flush()
		h.replay(queue.ReplaySelection{Dead: true}, queue.Replayed{Deliveries: len(ids)})
		if ds := h.claim("ehr", len(ids)+1); len(ds) != len(ids) {
			h.Fatalf("%d deliveries are due, want %d", len(ds), len(ids))
		}
	}},
	{name: "replay: a selection is of exactly one kind", test: func(h *harness) {
		for _, s := range []queue.ReplaySelection{
			{},
			{Upstreams: []string{"ehr"}},
			{IDs: []string{"a"}, Dead: true},
			{Dead: true, Since: h.Now()},
		} {
			_, err := h.Replay(h.Context(), s)
			h.wantErr(fmt.Sprintf("Replay(%+v)", s), err, queue.ErrInvalid)
		}
	}},
}
