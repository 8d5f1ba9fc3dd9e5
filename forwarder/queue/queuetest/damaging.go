package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// damaging has the cases of damaged storage and of replaced keys.
var damaging = []testCase{
	{name: "damage: damaged bytes in the newest storage lose at most their events", test: func(h *harness) {
		damageOne(h, "e25", func(ids []string) {
			for _, id := range ids {
				h.store(id, "ehr")
			}
		})
	}},
	{name: "damage: damaged bytes among events that were stored at once lose at most their events", test: func(h *harness) {
		damageOne(h, "e25", func(ids []string) {
			last := len(ids) - 2 // in separate commits: damage in the last one looks like a power failure
			h.storeMany(ids[:last])
			for _, id := range ids[last:] {
				h.store(id, "ehr")
			}
		})
	}},
	{name: "damage: damaged bytes of the newest event lose at most that event", test: func(h *harness) {
		damageOne(h, newest, func(ids []string) {
			for _, id := range ids {
				h.store(id, "ehr")
			}
		})
	}},
	{name: "keys: replacing a key while events are stored makes no event unreadable", test: func(h *harness) {
		if !h.has(h.Rotate != nil, "Rotate") {
			return
		}
		const writers, each = 8, 100
		rotate := func() {
			if err := h.Rotate(); err != nil {
				h.Errorf("Rotate: %v", err)
			}
		}
		var stores, rotations sync.WaitGroup
		stored := make(chan struct{})
		for w := range writers {
			stores.Go(func() {
				for i := range each {
					it := queue.Item{Event: Event(fmt.Sprint("e", w, "-", i), h.Now()), Upstreams: []string{"ehr"}}
					if i%5 == 4 {
						it = asideItem(it.Event, queue.Unrouted)
					}
					if _, err := h.Store(h.Context(), it); err != nil {
						h.Errorf("Store(%s): %v", it.Event.ID, err)
					}
				}
			})
		}
		rotations.Go(func() {
			for n := 0; ; n++ {
				rotate()
				select {
				case <-stored:
					if n >= 3 {
						return
					}
				default:
				}
			}
		})
		stores.Wait()
		close(stored)
		rotations.Wait()
		readable := func() {
			h.Helper()
			for w := range writers {
				for i := range each {
					id := fmt.Sprint("e", w, "-", i)
					if e, err := h.Payload(h.Context(), id); err != nil || !same(e, Event(id, h.Now())) {
						h.Fatalf("Payload(%s): %+v, %v", id, e, err)
					}
				}
			}
		}
		readable()
		h.reopen()
		readable()
		rotate()
		if h.Crash != nil {
			h.Queue = h.Crash(h.settings)
			readable()
		}
		ds := h.claim("ehr", writers*each)
		if want := writers * each * 4 / 5; len(ds) != want {
			h.Fatalf("%d deliveries are due, want %d", len(ds), want)
		}
		for _, d := range ds {
			if e, err := h.Load(d); err != nil || !same(e, Event(d.EventID, h.Now())) {
				h.Fatalf("Load(%s): %+v, %v", d.EventID, e, err)
			}
		}
		h.replay(queue.ReplaySelection{State: queue.Unrouted, Route: routeTo("ehr")}, queue.Replayed{Deliveries: writers * each / 5})
	}},
}

// newest is the last event that damageOne stores. Its loss need not be reported: on
// disk it looks like an event that was being stored during a power failure.
const newest = "e49"

// damageOne stores fifty events, damages the record of one, and checks that all others
// are unchanged, and that the loss is reported.
func damageOne(h *harness, damaged string, store func(ids []string)) {
	h.Helper()
	if !h.has(h.DamageRecent != nil, "DamageRecent") {
		return
	}
	ids := numbered("e", 50)
	store(ids)
	var reported func() []error
	h.Queue, reported = h.DamageRecent(h.settings, damaged)

	listed := h.list(queue.Filter{Limit: 100})
	_, err := h.Payload(h.Context(), damaged)
	lost := err != nil
	if kept := slices.Contains(listed, damaged); lost && kept != errors.Is(err, queue.ErrUnreadable) || !lost && !kept {
		h.Errorf("Payload(%s): %v; listed: %t", damaged, err, kept)
	}
	due := make(map[string]queue.Delivery)
	for _, d := range h.claim("ehr", 100) {
		due[d.EventID] = d
	}
	for _, id := range ids {
		if id == damaged && lost {
			continue
		}
		if !slices.Contains(listed, id) {
			h.Errorf("%s is not listed", id)
			continue
		}
		h.storeAgain(id, "ehr")
		if e, err := h.Load(due[id]); err != nil || !same(e, Event(id, h.Now())) {
			h.Errorf("Load(%s): %+v, %v", id, e, err)
			continue
		}
		h.deliver(due[id])
		h.wantStates(id, queue.Delivered, "ehr delivered")
	}
	if lost && damaged != newest && len(reported()) == 0 {
		h.Errorf("%s is lost (%v), but no error was reported", damaged, err)
	}
	if lost && !slices.Contains(listed, damaged) {
		h.store(damaged, "ehr") // the provider may send it again
		h.wantPayload(damaged, nil)
	}
}
