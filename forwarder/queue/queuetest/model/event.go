package model

import (
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Event is an event in the store.
type Event struct {
	queue.Item           // State is "" after the event was routed
	Arrival    int       // increases with each event
	Payload    bool      // whether the payload is kept
	endedAt    time.Time // zero while a delivery is pending
	deliveries []*Delivery
}

// A Delivery is an event's delivery to one upstream, or a stage.
type Delivery struct {
	queue.DeliveryRecord
	leased bool
}

// lastEnded returns when the newest attempt since the last replay ended, or zero.
func (d *Delivery) lastEnded() time.Time {
	if d.Attempts == 0 {
		return time.Time{}
	}
	return d.History[len(d.History)-1].End()
}

// Overall returns the state of the event as a whole.
func (e *Event) Overall() queue.State {
	if e.Item.State != "" {
		return e.Item.State
	}
	for _, s := range []queue.State{queue.Dead, queue.Pending} {
		if e.Has(s) {
			return s
		}
	}
	return queue.Delivered
}

// Has reports whether the event has a delivery to an upstream in the state.
func (e *Event) Has(s queue.State) bool {
	return slices.ContainsFunc(e.deliveries, func(d *Delivery) bool { return d.State == s && !d.stage() })
}

func (d *Delivery) stage() bool { return queue.IsStage(d.Upstream) }

// completion returns the pending completion, or nil.
func (e *Event) completion() *Delivery {
	for _, d := range e.deliveries {
		if d.State == queue.Pending && queue.IsCompletion(d.Upstream) {
			return d
		}
	}
	return nil
}

// claimable reports whether nothing in the event blocks the delivery.
func (e *Event) claimable(d *Delivery) bool {
	switch {
	case d.State != queue.Pending:
		return false
	case queue.IsCompletion(d.Upstream):
		return e.Has(queue.Pending)
	case queue.IsCleanup(d.Upstream):
		return !e.Has(queue.Pending) && !e.Has(queue.Dead)
	}
	return e.completion() == nil
}

// drop deletes deliveries.
func (e *Event) drop(selected func(*Delivery) bool) {
	e.deliveries = slices.DeleteFunc(e.deliveries, selected)
}

// Delivery returns the delivery to the upstream, or nil.
func (e *Event) Delivery(upstream string) *Delivery {
	for _, d := range e.deliveries {
		if d.Upstream == upstream {
			return d
		}
	}
	return nil
}

// Record returns the event's record in the form of the queue interface.
func (e *Event) Record() queue.Record {
	r := queue.Record{
		ID: e.Event.ID, Provider: e.Event.Provider, Type: e.Event.ShortType(), Subject: e.Event.Subject,
		ReceivedAt: e.Event.ReceivedAt, EndedAt: e.endedAt, State: e.Overall(), Reason: e.Reason, HasPayload: e.Payload,
	}
	for _, d := range e.deliveries {
		if d.stage() {
			r.Stages = append(r.Stages, d.DeliveryRecord)
		} else {
			r.Deliveries = append(r.Deliveries, d.DeliveryRecord)
		}
	}
	return r
}

// Claimed returns the delivery to the upstream as Claim returns it, without the
// engine's Seq and Size.
func (e *Event) Claimed(upstream string) queue.Delivery {
	d := e.Delivery(upstream)
	claimed := queue.Delivery{
		EventID: e.Event.ID, Provider: e.Event.Provider, Type: e.Event.ShortType(), Subject: e.Event.Subject, Upstream: upstream,
		ReceivedAt: e.Event.ReceivedAt, Attempts: d.Attempts, Used: d.Used, LastEnded: d.lastEnded(),
	}
	if d.stage() {
		claimed.History = d.History
	}
	return claimed
}
