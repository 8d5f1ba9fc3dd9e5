package queuetest

import (
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func (e *modelEvent) record() queue.Record {
	r := queue.Record{
		ID: e.Event.ID, Provider: e.Event.Provider, Type: e.Event.ShortType(), Subject: e.Event.Subject,
		ReceivedAt: e.Event.ReceivedAt, State: e.state(), Reason: e.Reason, HasPayload: e.payload,
	}
	for _, d := range e.deliveries {
		r.Deliveries = append(r.Deliveries, d.DeliveryRecord)
	}
	return r
}

// list returns the events that match, newest first.
func (m *model) list(f queue.Filter) (events []*modelEvent) {
	for _, e := range slices.Backward(m.events) {
		if matches(e.record(), f) {
			events = append(events, e)
		}
	}
	return events
}

// matches reports whether a listing has the record, whatever its limit and cursor.
func matches(r queue.Record, f queue.Filter) bool {
	switch {
	case f.Subject != "" && r.Subject != f.Subject, f.Type != "" && r.Type != f.Type, r.ReceivedAt.Before(f.Since):
		return false
	case f.Upstream == "" && (f.State == "" || r.State == f.State):
		return true
	}
	return slices.ContainsFunc(r.Deliveries, func(d queue.DeliveryRecord) bool {
		return (f.Upstream == "" || d.Upstream == f.Upstream) && (f.State == "" || d.State == f.State)
	})
}

// replay does a replay as a whole. Any one of refused is a right answer.
func (m *model) replay(s queue.ReplaySelection) (out queue.Replayed, refused []error) {
	events, refused := m.toReplay(s)
	if len(refused) > 0 {
		return out, refused
	}
	for _, e := range events {
		m.replayEvent(e, s, &out)
	}
	return out, nil
}

// toReplay returns the events of a selection.
func (m *model) toReplay(s queue.ReplaySelection) (events []*modelEvent, refused []error) {
	if len(s.IDs) > 0 {
		return m.named(s.IDs, func(e *modelEvent) (refused []error) {
			switch {
			case e.state() == queue.Quarantined:
				return []error{queue.ErrInvalid}
			case e.state().SetAside() && len(routed(e, s)) == 0:
				return []error{queue.ErrUnrouted}
			}
			if !e.payload {
				refused = append(refused, queue.ErrNoPayload)
			}
			if !replays(e, s) {
				refused = append(refused, queue.ErrNotFound)
			}
			return refused
		})
	}
	for _, e := range m.events {
		if replays(e, s) {
			events = append(events, e)
		}
	}
	return events, nil
}

// named returns the events with the ids, each once, and the errors of those that
// are not there or cannot be selected.
func (m *model) named(ids []string, check func(*modelEvent) []error) (events []*modelEvent, refused []error) {
	for _, id := range ids {
		e := m.find(id)
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

// replays reports whether a selection has the event or a delivery of it.
func replays(e *modelEvent, s queue.ReplaySelection) bool {
	switch {
	case e.state().SetAside():
		return s.State == e.state() || slices.Contains(s.IDs, e.Event.ID)
	case s.State != "" && s.State != queue.Dead, e.Event.ReceivedAt.Before(s.Since):
		return false
	}
	return slices.ContainsFunc(e.deliveries, func(d *modelDelivery) bool { return replaysDelivery(d, s) })
}

func replaysDelivery(d *modelDelivery, s queue.ReplaySelection) bool {
	return (s.Upstreams == nil || slices.Contains(s.Upstreams, d.Upstream)) && (s.State != queue.Dead || d.State == queue.Dead)
}

// routed returns the upstreams that a replay adds deliveries to.
func routed(e *modelEvent, s queue.ReplaySelection) []string {
	if s.Route == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(s.Route(e.Event)), func(u string) bool {
		return s.Upstreams != nil && !slices.Contains(s.Upstreams, u)
	})
}

// replayEvent replays the selected deliveries of an event that replays has selected.
func (m *model) replayEvent(e *modelEvent, s queue.ReplaySelection, out *queue.Replayed) {
	if e.state().SetAside() {
		added := m.add(e, routed(e, s))
		if added == 0 {
			out.Unrouted++
			return
		}
		e.State, e.Reason, e.endedAt = "", "", time.Time{}
		out.Deliveries += added
		return
	}
	if !e.payload {
		out.WithoutPayload++
		return
	}
	for _, d := range e.deliveries {
		if replaysDelivery(d, s) && !d.leased {
			d.State, d.Attempts, d.Used, d.NextAttempt = queue.Pending, 0, 0, time.Time{}
			e.endedAt = time.Time{}
			out.Deliveries++
		}
	}
}

// purge does a purge as a whole. Any one of refused is a right answer.
func (m *model) purge(s queue.PurgeSelection) (n int, refused []error) {
	events, refused := m.toPurge(s)
	if len(refused) > 0 {
		return 0, refused
	}
	for _, e := range events {
		if !s.DryRun {
			m.purgeEvent(e, s)
		}
	}
	return len(events), nil
}

// toPurge returns the events of a selection.
func (m *model) toPurge(s queue.PurgeSelection) (events []*modelEvent, refused []error) {
	if len(s.IDs) > 0 {
		return m.named(s.IDs, func(e *modelEvent) (refused []error) {
			if e.has(queue.Pending) && !s.Force {
				refused = append(refused, queue.ErrPending)
			}
			return refused
		})
	}
	for _, e := range m.events {
		if purges(e, s) {
			events = append(events, e)
		}
	}
	return events, nil
}

// purges reports whether a selection has the event or a delivery of it.
func purges(e *modelEvent, s queue.PurgeSelection) bool {
	if !s.Before.IsZero() && !e.Event.ReceivedAt.Before(s.Before) {
		return false
	}
	return purgesWhole(e, s) || slices.ContainsFunc(e.deliveries, func(d *modelDelivery) bool { return purgesDelivery(d, s) })
}

func purgesWhole(e *modelEvent, s queue.PurgeSelection) bool {
	return slices.Contains(s.IDs, e.Event.ID) || e.state().SetAside() && e.state() == s.State
}

func purgesDelivery(d *modelDelivery, s queue.PurgeSelection) bool {
	return s.State == queue.Dead && d.State == queue.Dead || s.Upstream == d.Upstream && d.State != queue.Delivered
}

// purgeEvent deletes what a selection has of an event.
func (m *model) purgeEvent(e *modelEvent, s queue.PurgeSelection) {
	if !purgesWhole(e, s) {
		e.deliveries = slices.DeleteFunc(e.deliveries, func(d *modelDelivery) bool { return purgesDelivery(d, s) })
		m.end(e)
		if len(e.deliveries) > 0 {
			return
		}
	}
	e.deliveries = nil
	m.forget(e.Event.ID)
}
