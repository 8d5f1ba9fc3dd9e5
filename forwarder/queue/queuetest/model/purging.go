package model

import (
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Purge does a whole purge. The engine may return any one of the errors refused.
func (m *Model) Purge(s queue.PurgeSelection) (n int, refused []error) {
	events, refused := m.ToPurge(s)
	if len(refused) > 0 {
		return 0, refused
	}
	for _, e := range events {
		if !s.DryRun {
			m.PurgeEvent(e, s)
		}
	}
	return len(events), nil
}

// ToPurge returns the events of a selection.
func (m *Model) ToPurge(s queue.PurgeSelection) (events []*Event, refused []error) {
	if s.ByID() {
		return m.named(s.IDs, func(e *Event) (refused []error) {
			if e.Has(queue.Pending) && !s.Force {
				refused = append(refused, queue.ErrPending)
			}
			return refused
		})
	}
	for _, e := range m.Events {
		if Purges(e, s) {
			events = append(events, e)
		}
	}
	return events, nil
}

// Purges reports whether the event or a delivery of it is in the selection.
func Purges(e *Event, s queue.PurgeSelection) bool {
	if !s.Before.IsZero() && !e.Event.ReceivedAt.Before(s.Before) || len(s.IDs) > 0 && !slices.Contains(s.IDs, e.Event.ID) {
		return false
	}
	return purgesWhole(e, s) || len(purged(e, s)) > 0
}

func purgesWhole(e *Event, s queue.PurgeSelection) bool {
	return s.ByID() || e.Overall().SetAside() && e.Overall() == s.State && (s.Match == nil || s.Match(e.Record(), nil))
}

// purged returns the deliveries in the selection.
func purged(e *Event, s queue.PurgeSelection) (selected []*Delivery) {
	for _, d := range e.deliveries {
		if !d.stage() && (s.State == queue.Dead && deadAndMatched(e, d, s.Match) || s.Upstream == d.Upstream && d.State != queue.Delivered) {
			selected = append(selected, d)
		}
	}
	return selected
}

// PurgeEvent deletes the selected deliveries of an event.
func (m *Model) PurgeEvent(e *Event, s queue.PurgeSelection) {
	if !purgesWhole(e, s) {
		selected := purged(e, s)
		e.drop(func(d *Delivery) bool { return slices.Contains(selected, d) || queue.IsCleanup(d.Upstream) })
		m.end(e)
		if slices.ContainsFunc(e.deliveries, func(d *Delivery) bool { return !d.stage() }) {
			return
		}
	}
	e.deliveries = nil
	m.forget(e.Event.ID)
}
