package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Selects returns a function that reports whether a delivery or a stage of the event is in
// the selection, leased or not.
func (e *Event) Selects(s queue.ReplaySelection) func(*Delivery) bool {
	inState := e.InState(s.State, s.Match)
	return func(d *Delivery) bool {
		return (queue.IsStage(d.Upstream) || s.Upstreams == nil || slices.Contains(s.Upstreams, d.Upstream)) && (s.State == "" || inState(d))
	}
}

// Covers reports whether any delivery of the event is in the selection, leased or not.
func (e *Event) Covers(s queue.ReplaySelection) bool {
	selected := e.Selects(s)
	return slices.ContainsFunc(e.Deliveries, func(d Delivery) bool { return !queue.IsStage(d.Upstream) && selected(&d) })
}

// CheckReplay returns the error of Replay for an event that is selected by its id and
// cannot be replayed, whatever its route is.
func (e *Event) CheckReplay(s queue.ReplaySelection) error {
	switch {
	case e.SetAside == queue.Quarantined:
		return fmt.Errorf("event %s: %w: it is quarantined", e.ID, queue.ErrInvalid)
	case e.Size == 0:
		return fmt.Errorf("event %s: %w", e.ID, queue.ErrNoPayload)
	case e.SetAside == "" && !e.Covers(s):
		return fmt.Errorf("event %s: %w for upstream %s: it is for %s", e.ID, queue.ErrNotFound, strings.Join(s.Upstreams, ", "), e.UpstreamsIn(""))
	}
	return nil
}

// UpstreamsIn returns, for an error text, the names of the upstreams to which the event
// has a delivery in the state; "" selects all states.
func (e *Event) UpstreamsIn(state queue.State) string {
	var names []string
	for i := range e.Deliveries {
		if d := &e.Deliveries[i]; (state == "" || d.State == state) && !queue.IsStage(d.Upstream) {
			names = append(names, d.Upstream)
		}
	}
	return strings.Join(names, ", ")
}
