package queuetest

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// visible has the cases of the state that is visible after a call has returned.
var visible = []testCase{
	{name: "visible: a stored event, in every call of every goroutine", test: func(h *harness) {
		var wg sync.WaitGroup
		for w := range 8 {
			wg.Go(func() {
				for i := range 25 {
					id := fmt.Sprint("e", w, "-", i)
					it := queue.Item{Event: Event(id, h.Now()), Upstreams: []string{"ehr"}}
					if r, err := h.Store(h.Context(), it); err != nil || r.Duplicate {
						h.Errorf("Store(%s): %+v, %v; want a new event", id, r, err)
					}
					seen := make(chan string, 1)
					go func() { seen <- h.see(it) }()
					if problem := <-seen; problem != "" {
						h.Error(problem)
					}
				}
			})
		}
		wg.Wait()
	}},
	{name: "visible: a stored event, even while storage fails", test: func(h *harness) {
		if !h.has(h.FailWrites != nil, "FailWrites") {
			return
		}
		h.store("a", "ehr")
		h.setAside("b", queue.Unrouted)
		h.FailWrites(true)
		defer h.FailWrites(false)
		for _, id := range []string{"a", "b"} {
			h.storeAgain(id, "ehr")
			h.wantPayload(id, nil)
			h.record(id)
			if got := h.list(queue.Filter{Subject: "subject-" + id, Limit: 1}); !slices.Equal(got, []string{id}) {
				h.Fatalf("%v are listed by subject, want %s", got, id)
			}
		}
		h.wantLeft("b", "a")
		if s := h.stats(); s.Unrouted != 1 || s.Upstreams["ehr"].Pending != 1 {
			h.Fatalf("stats %+v, want one unrouted and one pending", s)
		}
		if _, err := h.Load(h.claimOne("ehr", "a")); err != nil {
			h.Fatalf("Load: %v", err)
		}
	}},
	{name: "visible: a durable outcome", test: func(h *harness) {
		for i := range 30 {
			id := fmt.Sprint("e", i)
			h.store(id, "ehr")
			d := h.claimOne("ehr", id)
			switch i % 3 {
			case 0:
				h.deliver(d)
				h.wantStates(id, queue.Delivered, "ehr delivered")
				h.wantPayload(id, queue.ErrNoPayload)
			case 1:
				h.fail(d)
				h.wantStates(id, queue.Dead, "ehr dead")
				if got := h.list(queue.Filter{State: queue.Dead, Limit: 1}); !slices.Equal(got, []string{id}) {
					h.Fatalf("%v are listed as dead, want %s", got, id)
				}
				h.replay(queue.ReplaySelection{State: queue.Dead}, queue.Replayed{Deliveries: 1})
				h.wantStates(id, queue.Pending, "ehr pending")
				h.fail(h.claimOne("ehr", id))
				h.purge(queue.PurgeSelection{State: queue.Dead}, 1)
				h.wantGone(id)
			default:
				h.retry(d, time.Hour)
				if got := h.record(id).Deliveries[0]; got.Attempts != 1 || !got.NextAttempt.Equal(h.Now().Add(time.Hour)) {
					h.Fatalf("delivery %+v, want one attempt and the next in an hour", got)
				}
			}
		}
	}},
}

// see returns a problem unless every call returns the event that was just stored for
// ehr. It purges and stores the event again.
func (h *harness) see(it queue.Item) (problem string) {
	id, ctx := it.Event.ID, h.Context()
	r, err := h.Queue.Event(ctx, id)
	if err != nil || r.State != queue.Pending || len(r.Deliveries) != 1 {
		return fmt.Sprintf("Event(%s): %+v, %v; want it pending for ehr", id, r, err)
	}
	f := queue.Filter{Subject: it.Event.Subject, State: queue.Pending, Upstream: "ehr", Limit: 1}
	if p, err := h.Events(ctx, f); err != nil || len(p.Records) != 1 {
		return fmt.Sprintf("Events(%+v): %+v, %v; want %s", f, p, err, id)
	}
	if e, err := h.Payload(ctx, id); err != nil || !same(e, it.Event) {
		return fmt.Sprintf("Payload(%s): %+v, %v", id, e, err)
	}
	if s, err := h.Stats(); err != nil || s.Upstreams["ehr"].Pending == 0 || s.Bytes == 0 {
		return fmt.Sprintf("Stats: %+v, %v; want %s included", s, err, id)
	}
	if r, err := h.Store(ctx, it); err != nil || !r.Duplicate {
		return fmt.Sprintf("Store(%s): %+v, %v; want a duplicate", id, r, err)
	}
	if r, err := h.Replay(ctx, queue.ReplaySelection{IDs: []string{id}}); err != nil || r.Deliveries != 1 {
		return fmt.Sprintf("Replay(%s): %+v, %v; want one delivery", id, r, err)
	}
	if n, err := h.Purge(ctx, queue.PurgeSelection{IDs: []string{id}, Force: true}); err != nil || n != 1 {
		return fmt.Sprintf("Purge(%s): %d, %v; want 1", id, n, err)
	}
	if p, err := h.Events(ctx, queue.Filter{Subject: it.Event.Subject, Limit: 1}); err != nil || len(p.Records) != 0 {
		return fmt.Sprintf("Events by subject after the purge: %+v, %v; want none", p, err)
	}
	if r, err := h.Store(ctx, it); err != nil || r.Duplicate {
		return fmt.Sprintf("Store(%s) after the purge: %+v, %v; want a new event", id, r, err)
	}
	return ""
}

var counting = []testCase{
	{name: "stats: the content of the store", test: func(h *harness) {
		h.Advance(time.Minute)
		oldest := h.Now()
		h.store("a", "ehr")
		h.retry(h.claimOne("ehr", "a"), time.Minute)
		h.Advance(time.Second)
		h.store("b", "ehr", "warehouse")
		h.store("c", "ehr")
		h.fail(h.claimed("warehouse", queue.Want{First: 1}).Deliveries[0])
		h.claimed("ehr", queue.Want{First: 1})
		h.setAside("quarantined", queue.Quarantined)
		for i, state := range []queue.State{queue.Unrouted, queue.Unconfirmed, queue.Unconfirmed, queue.Unrouted, queue.Unconfirmed} {
			h.setAside(fmt.Sprint("aside", i), state)
		}
		check := func(inFlight int64) {
			h.Helper()
			s := h.stats()
			want := map[string]queue.UpstreamStats{
				"ehr":       {Pending: 3, InFlight: inFlight, OldestPending: oldest},
				"warehouse": {Dead: 1},
			}
			if fmt.Sprint(s.Upstreams) != fmt.Sprint(want) || s.MaxBytes != h.settings.MaxSize || s.Bytes <= 0 {
				h.Fatalf("stats %+v, want upstreams %+v", s, want)
			}
			if s.Quarantined != 1 || s.Unrouted != 2 || s.Unconfirmed != 3 || s.Unreadable != 0 {
				h.Fatalf("stats %+v, want 1 quarantined, 2 unrouted, 3 unconfirmed and none unreadable", s)
			}
		}
		check(1)
		before := h.stats().Bytes
		h.reopen()
		check(0)
		if after := h.stats().Bytes; after != before {
			h.Fatalf("%d bytes after reopening, want %d", after, before)
		}
	}},
}
