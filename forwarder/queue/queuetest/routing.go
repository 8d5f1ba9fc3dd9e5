package queuetest

import (
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// routeTo returns a Route that always returns the upstreams.
func routeTo(upstreams ...string) func(*event.Event) []string {
	return func(*event.Event) []string { return upstreams }
}

// routable are the states of events that a replay can route.
var routable = []queue.State{queue.Unrouted, queue.Unconfirmed}

// routing has the cases of replays of events that have no deliveries yet.
var routing = []testCase{
	{name: "route: a replay by state adds deliveries to the upstreams of Route", test: func(h *harness) {
		for _, state := range routable {
			h.setAside("to one "+string(state), state)
			h.setAside("to two "+string(state), state)
			h.setAside("to none "+string(state), state)
		}
		for _, state := range routable {
			one, two, none := "to one "+string(state), "to two "+string(state), "to none "+string(state)
			routes := map[string][]string{one: {"ehr"}, two: {"ehr", "warehouse", "ehr"}}
			s := queue.ReplaySelection{State: state, Route: func(e *event.Event) []string { return routes[e.ID] }}
			h.replay(s, queue.Replayed{Deliveries: 3, Unrouted: 1})
			h.wantStates(one, queue.Pending, "ehr pending")
			h.wantStates(two, queue.Pending, "ehr pending", "warehouse pending")
			h.wantStates(none, state)
			h.replay(s, queue.Replayed{Unrouted: 1})
			h.reopen()
			ds := h.claim("ehr", 10)
			h.wantIDs(ds, one, two)
			for _, d := range ds {
				h.deliver(d)
			}
			h.wantStates(one, queue.Delivered, "ehr delivered")
			h.wantPayload(one, queue.ErrNoPayload)
			h.wantPayload(two, nil)
			h.deliver(h.claimOne("warehouse", two))
			h.wantPayload(two, queue.ErrNoPayload)
		}
		if s := h.stats(); s.Unrouted != 1 || s.Unconfirmed != 1 || len(s.Upstreams) != 0 {
			h.Fatalf("stats %+v, want only the events for which Route returned no upstream", s)
		}
	}},
	{name: "route: Route gets the stored event", test: func(h *harness) {
		want := Event("a", h.Now())
		h.storeItem(queue.Item{Event: want, State: queue.Unrouted}, false)
		h.reopen()
		var got []*event.Event
		h.replay(queue.ReplaySelection{State: queue.Unrouted, Route: func(e *event.Event) []string {
			got = append(got, e)
			return []string{"ehr"}
		}}, queue.Replayed{Deliveries: 1})
		if len(got) != 1 || !same(got[0], want) {
			h.Fatalf("Route was called with %+v, want %+v", got, want)
		}
		d := h.claimOne("ehr", "a")
		if e, err := h.Load(d); err != nil || !same(e, want) || d.Attempts != 0 || d.Size == 0 {
			h.Fatalf("Load(%+v): %+v, %v; want %+v", d, e, err, want)
		}
	}},
	{name: "route: the selection's upstreams restrict those of Route", test: func(h *harness) {
		h.setAside("a", queue.Unrouted)
		h.setAside("b", queue.Unconfirmed)
		all := routeTo("ehr", "warehouse", "lab")
		h.replay(queue.ReplaySelection{State: queue.Unrouted, Upstreams: []string{"unknown"}, Route: all}, queue.Replayed{Unrouted: 1})
		h.replay(queue.ReplaySelection{State: queue.Unrouted, Upstreams: []string{"lab", "ehr", "unknown"}, Route: all}, queue.Replayed{Deliveries: 2})
		h.wantStates("a", queue.Pending, "ehr pending", "lab pending")
		_, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"b"}, Upstreams: []string{"unknown"}, Route: all})
		h.wantErr("Replay by id without an upstream", err, queue.ErrUnrouted)
		h.replay(queue.ReplaySelection{IDs: []string{"b"}, Upstreams: []string{"warehouse"}, Route: all}, queue.Replayed{Deliveries: 1})
		h.wantStates("b", queue.Pending, "warehouse pending")
	}},
	{name: "route: by id all or none", test: func(h *harness) {
		everyState(h)
		routes := map[string][]string{"unrouted": {"ehr"}, "quarantined": {"ehr"}}
		s := queue.ReplaySelection{Route: func(e *event.Event) []string { return routes[e.ID] }}
		for _, c := range []struct {
			id   string
			want error
		}{
			{"unconfirmed", queue.ErrUnrouted},
			{"quarantined", queue.ErrInvalid},
			{"unknown", queue.ErrNotFound},
			{"delivered", queue.ErrNoPayload},
		} {
			s.IDs = []string{"dead", "unrouted", c.id}
			_, err := h.Replay(h.Context(), s)
			h.wantErr("Replay with "+c.id, err, c.want)
			h.wantStates("dead", queue.Dead, "ehr dead")
			h.wantStates("unrouted", queue.Unrouted)
		}
		s.IDs = []string{"unrouted", "dead", "unrouted"}
		h.replay(s, queue.Replayed{Deliveries: 2})
		h.wantStates("dead", queue.Pending, "ehr pending")
		h.wantStates("unrouted", queue.Pending, "ehr pending")
		h.wantStates("quarantined", queue.Quarantined)
	}},
	{name: "route: without Route there is no upstream", test: func(h *harness) {
		h.setAside("a", queue.Unrouted)
		_, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"a"}})
		h.wantErr("Replay by id", err, queue.ErrUnrouted)
		h.replay(queue.ReplaySelection{State: queue.Unrouted}, queue.Replayed{Unrouted: 1})
		h.wantStates("a", queue.Unrouted)
	}},
	{name: "route: only a replay by id or by the state calls Route", test: func(h *harness) {
		everyState(h)
		h.store("dead too", "ehr")
		h.fail(h.claim("ehr", 10)[1])
		never := func(e *event.Event) []string {
			h.Errorf("Route was called for %s", e.ID)
			return []string{"ehr"}
		}
		for _, s := range []queue.ReplaySelection{{State: queue.Dead}, {Since: h.Now().Add(-time.Hour)}, {IDs: []string{"retry"}}} {
			s.Route = never
			if _, err := h.Replay(h.Context(), s); err != nil {
				h.Fatalf("Replay(%+v): %v", s, err)
			}
		}
		for _, s := range []queue.State{queue.Unrouted, queue.Unconfirmed, queue.Quarantined} {
			h.wantStates(string(s), s)
		}
	}},
	{name: "route: a routed event is like any other", test: func(h *harness) {
		for i, state := range routable {
			id := string(state)
			h.setAside(id, state)
			h.replay(queue.ReplaySelection{IDs: []string{id}, Route: routeTo("ehr", "warehouse")}, queue.Replayed{Deliveries: 2})
			h.storeAgain(id, "ehr")
			h.fail(h.claimOne("ehr", id))
			h.wantStates(id, queue.Dead, "ehr dead", "warehouse pending")
			if got := h.list(queue.Filter{State: state, Limit: 10}); len(got) != 0 {
				h.Fatalf("%v are listed as %s, want none", got, state)
			}
			h.purge(queue.PurgeSelection{State: state}, 0)
			// A replay no longer calls Route.
			h.replay(queue.ReplaySelection{IDs: []string{id}, Route: routeTo("lab")}, queue.Replayed{Deliveries: 2})
			h.deliver(h.claimOne("ehr", id))
			if i == 0 {
				h.deliver(h.claimOne("warehouse", id))
				h.wantStates(id, queue.Delivered, "ehr delivered", "warehouse delivered")
			} else {
				h.purge(queue.PurgeSelection{Upstream: "warehouse"}, 1)
				h.wantStates(id, queue.Delivered, "ehr delivered")
			}
			h.wantPayload(id, queue.ErrNoPayload)
		}
		h.wantEmpty()
	}},
	{name: "route: a replay wakes the upstreams", test: func(h *harness) {
		h.setAside("a", queue.Unrouted)
		var mu sync.Mutex
		var woken []string
		h.Notify(func(upstream string) {
			mu.Lock()
			defer mu.Unlock()
			woken = append(woken, upstream)
		})
		h.replay(queue.ReplaySelection{State: queue.Unrouted, Route: routeTo("ehr", "warehouse")}, queue.Replayed{Deliveries: 2})
		h.Flush()
		mu.Lock()
		defer mu.Unlock()
		if !slices.Contains(woken, "ehr") || !slices.Contains(woken, "warehouse") {
			h.Fatalf("%v are woken, want ehr and warehouse", woken)
		}
	}},
	{name: "route: more events than fit into one transaction, with a report of each step", test: func(h *harness) {
		const n = 450
		ids := numbered("e", n)
		for _, id := range ids {
			h.setAside(id, queue.Unrouted)
		}
		reports, p := h.logProgress()
		h.replay(queue.ReplaySelection{State: queue.Unrouted, Progress: p, Route: routeTo("warehouse")}, queue.Replayed{Deliveries: n})
		reports.check(h, 3, n)
		h.wantIDs(h.claim("warehouse", n+1), ids...)
		if s := h.stats(); s.Unrouted != 0 {
			h.Fatalf("stats %+v, want none unrouted", s)
		}
	}},
}
