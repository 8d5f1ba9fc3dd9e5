package model

import (
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// Replay does a whole replay. The engine may return any one of the errors refused.
func (m *Model) Replay(s queue.ReplaySelection) (out queue.Replayed, refused []error) {
	events, refused := m.ToReplay(s)
	if len(refused) > 0 {
		return out, refused
	}
	for _, e := range events {
		m.ReplayEvent(e, s, &out)
	}
	return out, nil
}

// ToReplay returns the events of a selection.
func (m *Model) ToReplay(s queue.ReplaySelection) (events []*Event, refused []error) {
	if s.ByID() {
		return m.named(s.IDs, func(e *Event) (refused []error) {
			switch {
			case e.Overall() == queue.Quarantined:
				return []error{queue.ErrInvalid}
			case e.Overall().SetAside() && len(routed(e, s)) == 0:
				return []error{queue.ErrUnrouted}
			}
			if !e.Payload {
				refused = append(refused, queue.ErrNoPayload)
			}
			if !Replays(e, s) {
				refused = append(refused, queue.ErrNotFound)
			}
			return refused
		})
	}
	for _, e := range m.Events {
		if Replays(e, s) {
			events = append(events, e)
		}
	}
	return events, nil
}

// named returns the events with the ids, without duplicates, and the errors for ids
// that do not exist or cannot be selected.
func (m *Model) named(ids []string, check func(*Event) []error) (events []*Event, refused []error) {
	for _, id := range ids {
		e := m.Find(id)
		if e == nil {
			refused = append(refused, queue.ErrNotFound)
			continue
		}
		refused = append(refused, check(e)...)
		if !slices.Contains(events, e) {
			events = append(events, e)
		}
	}
	return events, refused
}

// Replays reports whether the event or a delivery of it is in the selection.
func Replays(e *Event, s queue.ReplaySelection) bool {
	switch {
	case len(s.IDs) > 0 && !slices.Contains(s.IDs, e.Event.ID):
		return false
	case e.Overall().SetAside():
		return s.ByID() || s.State == e.Overall() && (s.Match == nil || s.Match(e.Record(), nil))
	case s.State != "" && s.State != queue.Dead, e.Event.ReceivedAt.Before(s.Since):
		return false
	}
	return len(replayed(e, s)) > 0
}

// replayed returns the deliveries in the selection.
func replayed(e *Event, s queue.ReplaySelection) (selected []*Delivery) {
	for _, d := range e.deliveries {
		if !d.stage() && (s.Upstreams == nil || slices.Contains(s.Upstreams, d.Upstream)) && (s.State != queue.Dead || deadAndMatched(e, d, s.Match)) {
			selected = append(selected, d)
		}
	}
	return selected
}

// deadAndMatched reports whether a selection of dead deliveries has the delivery.
func deadAndMatched(e *Event, d *Delivery, match queue.Match) bool {
	asked := d.DeliveryRecord
	return d.State == queue.Dead && (match == nil || match(e.Record(), &asked))
}

// routed returns the upstreams and stages that a replay adds.
func routed(e *Event, s queue.ReplaySelection) []string {
	if s.Route == nil {
		return nil
	}
	partly, upstreams := false, 0
	var names []string
	for _, name := range s.Route(e.Event) {
		switch {
		case queue.IsStage(name):
		case s.Upstreams != nil && !slices.Contains(s.Upstreams, name):
			partly = true
			continue
		default:
			upstreams++
		}
		names = append(names, name)
	}
	if upstreams == 0 {
		return nil
	}
	return slices.DeleteFunc(names, func(name string) bool { return partly && queue.IsCleanup(name) })
}

// ReplayEvent replays the selected deliveries of an event for which Replays returns
// true.
func (m *Model) ReplayEvent(e *Event, s queue.ReplaySelection, out *queue.Replayed) {
	if e.Overall().SetAside() {
		added := m.add(e, routed(e, s))
		if added == 0 {
			out.Unrouted++
			return
		}
		e.State, e.Reason, e.endedAt = "", "", time.Time{}
		out.Deliveries += added
		return
	}
	if !e.Payload {
		out.WithoutPayload++
		return
	}
	completion := e.completion()
	if completion != nil && dropsCompletion(s, e.Event, completion.Upstream) {
		e.drop(func(d *Delivery) bool { return d == completion || queue.IsCleanup(d.Upstream) })
		completion = nil
	}
	n := 0
	for _, d := range replayed(e, s) {
		if !d.leased {
			d.again()
			e.endedAt = time.Time{}
			n++
		}
	}
	if n > 0 && completion != nil && !completion.leased && s.State != queue.Dead {
		completion.again()
	}
	out.Deliveries += n
}

// again makes a delivery due at once, and counts its attempts from 1 again.
func (d *Delivery) again() {
	d.State, d.Attempts, d.Used, d.NextAttempt = queue.Pending, 0, 0, time.Time{}
}

// dropsCompletion reports whether a replay drops the completion that an event waits for: an
// operator has named the event, and the present configuration delivers it without.
func dropsCompletion(s queue.ReplaySelection, e *event.Event, completion string) bool {
	if !s.ByID() || s.Route == nil {
		return false
	}
	route := s.Route(e)
	return slices.ContainsFunc(route, func(name string) bool { return !queue.IsStage(name) }) && !slices.Contains(route, completion)
}
