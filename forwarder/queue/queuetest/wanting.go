package queuetest

import (
	"errors"
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func (h *harness) wantIDs(ds []queue.Delivery, want ...string) {
	h.Helper()
	got := make([]string, len(ds))
	for i, d := range ds {
		got[i] = d.EventID
	}
	if !slices.Equal(got, want) {
		h.Fatalf("claimed %v, want %v", got, want)
	}
}

func (h *harness) wantErr(what string, err, want error) {
	h.Helper()
	if !errors.Is(err, want) {
		h.Fatalf("%s: %v, want the error %q", what, err, want)
	}
}

func (h *harness) wantPayload(id string, want error) {
	h.Helper()
	e, err := h.Payload(h.Context(), id)
	if want != nil {
		h.wantErr("Payload("+id+")", err, want)
		return
	}
	if err != nil || e.ID != id {
		h.Fatalf("Payload(%s): %v, %v", id, e, err)
	}
}

// wantStates checks the states of an event and of its deliveries, each as "upstream
// state" and in any order.
func (h *harness) wantStates(id string, state queue.State, want ...string) {
	h.Helper()
	r := h.record(id)
	got := make([]string, len(r.Deliveries))
	for i, d := range r.Deliveries {
		got[i] = fmt.Sprint(d.Upstream, " ", d.State)
	}
	slices.Sort(got)
	slices.Sort(want)
	if r.State != state || !slices.Equal(got, want) {
		h.Fatalf("%s is %s with deliveries %v, want %s with %v", id, r.State, got, state, want)
	}
}

// wantLeft checks which events are in the store, newest first.
func (h *harness) wantLeft(want ...string) {
	h.Helper()
	if got := h.list(queue.Filter{Limit: 100}); !slices.Equal(got, want) {
		h.Fatalf("%v are in the store, want %v", got, want)
	}
}

// wantGone checks that an event is not in the store.
func (h *harness) wantGone(id string) {
	h.Helper()
	_, err := h.Queue.Event(h.Context(), id)
	h.wantErr("Event("+id+")", err, queue.ErrNotFound)
	h.wantPayload(id, queue.ErrNotFound)
	if slices.Contains(h.list(queue.Filter{Limit: 100}), id) {
		h.Fatalf("%s is listed", id)
	}
}

// wantEmpty checks that all counts of the store are 0.
func (h *harness) wantEmpty() {
	h.Helper()
	s := h.stats()
	if s.Bytes != 0 || s.Quarantined != 0 || s.Unrouted != 0 || s.Unconfirmed != 0 || len(s.Upstreams) != 0 {
		h.Fatalf("stats %+v, want none", s)
	}
}
