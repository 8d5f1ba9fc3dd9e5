package queuetest

import (
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// storeStaged stores a new event with a completion and a cleanup.
func (h *harness) storeStaged(id string, upstreams ...string) {
	h.Helper()
	h.store(id, append(slices.Clone(upstreams), completion, cleanup)...)
}

// complete settles a completion with an event that has n more bytes than the stored one,
// and returns that event.
func (h *harness) complete(d queue.Delivery, n int) *event.Event {
	h.Helper()
	e, err := h.Load(d)
	if err != nil {
		h.Fatalf("Load(%s): %v", d.EventID, err)
	}
	e = completed(e, n)
	h.settle(d, queue.Outcome{State: queue.Delivered, Result: queue.Success, Status: 200, Used: true, Event: e})
	return e
}

// wantLoad checks that Load returns the event.
func (h *harness) wantLoad(d queue.Delivery, want *event.Event) {
	h.Helper()
	if e, err := h.Load(d); err != nil || !same(e, want) {
		h.Fatalf("Load(%s for %s): %+v, %v; want %+v", d.EventID, d.Upstream, e, err, want)
	}
}

// wantStages checks the states of an event's stages.
func (h *harness) wantStages(id string, want map[string]queue.State) {
	h.Helper()
	got := make(map[string]queue.State)
	for _, d := range h.record(id).Stages {
		got[d.Upstream] = d.State
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		h.Fatalf("%s has the stages %v, want %v", id, got, want)
	}
}

// wantStats checks the stats of an upstream and of the stages.
func (h *harness) wantStats(ehr queue.UpstreamStats, stages map[string]queue.UpstreamStats) {
	h.Helper()
	s := h.stats()
	if s.Upstreams["ehr"] != ehr || len(s.Upstreams) > 1 || fmt.Sprint(s.Stages) != fmt.Sprint(stages) {
		h.Fatalf("stats %+v, want %+v for ehr and %+v for the stages", s, ehr, stages)
	}
}
