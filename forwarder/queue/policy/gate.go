package policy

import (
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Gate determines again which pending deliveries are blocked: those to the upstreams
// while the event's completion is pending, and the cleanup until every upstream has
// accepted the event. A completion for which no upstream waits any more is blocked too.
// Every change of the deliveries ends with a call of Gate.
func (e *Event) Gate() {
	waiting, completing, accepted := false, e.Completion() != nil, true
	for i := range e.Deliveries {
		if d := &e.Deliveries[i]; !queue.IsStage(d.Upstream) {
			waiting = waiting || d.State == queue.Pending
			accepted = accepted && d.State == queue.Delivered
		}
	}
	for i := range e.Deliveries {
		d := &e.Deliveries[i]
		switch {
		case d.State != queue.Pending:
			d.Blocked = false
		case queue.IsCompletion(d.Upstream):
			d.Blocked = !waiting
		case queue.IsCleanup(d.Upstream):
			d.Blocked = !accepted
		default:
			d.Blocked = completing
		}
	}
}

// Completion returns the event's pending completion, or nil.
func (e *Event) Completion() *Delivery {
	for i := range e.Deliveries {
		if d := &e.Deliveries[i]; d.State == queue.Pending && queue.IsCompletion(d.Upstream) {
			return d
		}
	}
	return nil
}

// Reroute drops the completion that the event waits for, and the event's cleanup, if route
// has upstreams and not the completion. It reports whether it dropped them.
func (e *Event) Reroute(route []string) bool {
	d := e.Completion()
	if d == nil || !HasUpstream(route) || slices.Contains(route, d.Upstream) {
		return false
	}
	name := d.Upstream
	e.dropStages(func(stage string) bool { return stage == name || queue.IsCleanup(stage) })
	return true
}

// dropStages deletes the selected stages.
func (e *Event) dropStages(selected func(name string) bool) {
	e.Deliveries = slices.DeleteFunc(e.Deliveries, func(d Delivery) bool { return queue.IsStage(d.Upstream) && selected(d.Upstream) })
	e.Gate()
}

// HasUpstream reports whether any of the names is that of an upstream. Stages alone do
// nothing.
func HasUpstream(names []string) bool {
	return slices.ContainsFunc(names, func(name string) bool { return !queue.IsStage(name) })
}

// Restrict returns the part of a route that is replayed to some upstreams: all of it if
// upstreams is nil, and nil if the route has none of them. If the restriction leaves out an
// upstream, there is no cleanup either: not every upstream accepts the event then.
func Restrict(route, upstreams []string) []string {
	kept := slices.DeleteFunc(slices.Clone(route), func(name string) bool {
		return upstreams != nil && !queue.IsStage(name) && !slices.Contains(upstreams, name)
	})
	switch {
	case !HasUpstream(kept):
		return nil
	case len(kept) < len(route):
		return slices.DeleteFunc(kept, queue.IsCleanup)
	}
	return kept
}
