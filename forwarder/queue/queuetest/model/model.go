package model

import (
	"maps"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A Model is a queue's state. It is not safe for concurrent use.
type Model struct {
	Settings   queue.Settings
	Now        func() (earliest, latest time.Time) // the results of queue.AgeClock.Now
	Events     []*Event                            // in order of arrival
	arrived    int                                 // how many events were stored so far
	tombstones map[string]time.Time                // by id: receipt of events whose retention has ended
}

// New returns an empty model.
func New(s queue.Settings, now func() (earliest, latest time.Time)) *Model {
	return &Model{Settings: s, Now: now, tombstones: make(map[string]time.Time)}
}

// Find returns the event with the id, or nil.
func (m *Model) Find(id string) *Event {
	for _, e := range m.Events {
		if e.Event.ID == id {
			return e
		}
	}
	return nil
}

// Store stores the item like Queue.Store.
func (m *Model) Store(it queue.Item) (duplicate bool) {
	if m.Duplicate(it) {
		return true
	}
	m.forget(it.Event.ID)
	m.arrived++
	e := &Event{Item: it, Arrival: m.arrived, Payload: it.State.SetAside()}
	if !it.State.SetAside() {
		m.add(e, it.Upstreams)
		e.Payload = len(e.deliveries) > 0
	}
	m.Events = append(m.Events, e)
	m.end(e)
	return false
}

// Duplicate reports whether the item would be a duplicate now.
func (m *Model) Duplicate(it queue.Item) bool {
	if e := m.Find(it.Event.ID); e != nil {
		return it.Recovered || e.Overall() != queue.Delivered || !m.beyondWindow(e.Event.ReceivedAt)
	}
	receivedAt, ended := m.tombstones[it.Event.ID]
	return ended && (it.Recovered || !m.beyondWindow(receivedAt))
}

func (m *Model) beyondWindow(receivedAt time.Time) bool {
	earliest, _ := m.Now()
	return earliest.Sub(receivedAt) >= m.Settings.DedupeWindow
}

// forget deletes the remains of an id.
func (m *Model) forget(id string) {
	delete(m.tombstones, id)
	m.Events = slices.DeleteFunc(m.Events, func(e *Event) bool { return e.Event.ID == id })
}

// add adds a pending delivery to each of the upstreams, and the stages if there is an
// upstream. It returns the number of upstreams.
func (m *Model) add(e *Event, names []string) (added int) {
	for _, name := range names {
		if e.Delivery(name) == nil {
			e.deliveries = append(e.deliveries, &Delivery{DeliveryRecord: queue.DeliveryRecord{Upstream: name, State: queue.Pending}})
			if !queue.IsStage(name) {
				added++
			}
		}
	}
	if added == 0 {
		e.deliveries = nil
	}
	return added
}

// end ends an event without pending deliveries.
func (m *Model) end(e *Event) {
	if e.Has(queue.Pending) {
		return
	}
	_, e.endedAt = m.Now()
	if e.Overall() == queue.Delivered && m.Settings.KeepDelivered == 0 {
		e.Payload = false
	}
}

// Sweep deletes the events whose retention has ended. Their ids stay known.
func (m *Model) Sweep() {
	now, _ := m.Now()
	m.Events = slices.DeleteFunc(m.Events, func(e *Event) bool {
		retention := m.Settings.DeadRetention
		if e.Overall() == queue.Delivered {
			retention = max(m.Settings.HistoryRetention, m.Settings.KeepDelivered)
			e.Payload = e.Payload && now.Sub(e.endedAt) < m.Settings.KeepDelivered
		}
		if e.endedAt.IsZero() || now.Sub(e.endedAt) < retention {
			return false
		}
		m.tombstones[e.Event.ID] = e.Event.ReceivedAt
		return true
	})
	maps.DeleteFunc(m.tombstones, func(_ string, receivedAt time.Time) bool { return m.beyondWindow(receivedAt) })
}
