package policy

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// Settles reports whether an outcome is one that its delivery can have.
func Settles(o *queue.Outcome) bool {
	completion := queue.IsCompletion(o.Delivery.Upstream)
	if o.Event != nil && (!completion || o.State != queue.Delivered || o.Event.ID != o.Delivery.EventID) {
		return false
	}
	switch o.State {
	case queue.Pending, queue.Delivered:
		return true
	case queue.Dead:
		return !completion
	case queue.Unconfirmed:
		return completion
	default:
		return false
	}
}

// Settle applies the outcome of an attempt, and reports whether the delivery was still
// pending. If it was not, the event was purged meanwhile, or another event uses its
// sequence number.
func (e *Event) Settle(o *queue.Outcome, now int64, keep time.Duration) bool {
	d := e.Delivery(o.Delivery.Upstream)
	if e.ID != o.Delivery.EventID || d == nil || d.State != queue.Pending {
		return false
	}
	d.settle(o)
	switch {
	case o.State == queue.Unconfirmed:
		e.SetAside, e.Reason, e.Deliveries, e.EndedAt = queue.Unconfirmed, o.Reason, nil, max(1, now)
	case o.Retain:
		e.dropStages(queue.IsCleanup)
	case queue.IsStage(d.Upstream): // which never ends the event
		e.Gate()
	default:
		e.end(now, keep)
	}
	return true
}

// end records the end of an event that has no pending delivery, and drops the payload
// if it is no longer needed.
func (e *Event) end(now int64, keep time.Duration) {
	if e.Gate(); e.has(queue.Pending) {
		return
	}
	e.EndedAt = max(1, now)
	if !e.has(queue.Dead) && keep == 0 {
		e.DropPayload()
	}
}

// DropPayload records that the payload is no longer kept.
func (e *Event) DropPayload() { e.Size, e.Key = 0, seal.Fingerprint{} }
