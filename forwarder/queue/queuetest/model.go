package queuetest

import (
	"cmp"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A model is a queue in its simplest form: what an engine must answer.
type model struct {
	settings   queue.Settings
	now        func() (earliest, latest time.Time) // as queue.AgeClock returns it
	events     []*modelEvent                       // in order of arrival
	arrived    int                                 // how many there have been
	tombstones map[string]time.Time                // receipt of events whose retention has ended
}

type modelEvent struct {
	queue.Item           // State is "" once the event has been replayed
	arrival    int       // grows with each event
	endedAt    time.Time // zero while a delivery is pending
	payload    bool
	deliveries []*modelDelivery
}

type modelDelivery struct {
	queue.DeliveryRecord
	leased bool
}

// lastEnded returns when the newest attempt since the last replay ended, or zero.
func (d *modelDelivery) lastEnded() time.Time {
	if d.Attempts == 0 {
		return time.Time{}
	}
	newest := d.History[len(d.History)-1]
	return newest.At.Add(newest.Duration)
}

func newModel(s queue.Settings, now func() (earliest, latest time.Time)) *model {
	return &model{settings: s, now: now, tombstones: make(map[string]time.Time)}
}

func (m *model) find(id string) *modelEvent {
	for _, e := range m.events {
		if e.Event.ID == id {
			return e
		}
	}
	return nil
}

func (m *model) store(it queue.Item) (duplicate bool) {
	if m.duplicate(it.Event.ID) {
		return true
	}
	m.forget(it.Event.ID)
	m.arrived++
	e := &modelEvent{Item: it, arrival: m.arrived, payload: it.State.SetAside()}
	if !it.State.SetAside() {
		m.add(e, it.Upstreams)
		e.payload = len(e.deliveries) > 0
	}
	m.events = append(m.events, e)
	m.end(e)
	return false
}

// duplicate reports whether an id is known.
func (m *model) duplicate(id string) bool {
	if e := m.find(id); e != nil {
		return e.state() != queue.Delivered || !m.beyondWindow(e.Event.ReceivedAt)
	}
	receivedAt, ended := m.tombstones[id]
	return ended && !m.beyondWindow(receivedAt)
}

func (m *model) beyondWindow(receivedAt time.Time) bool {
	earliest, _ := m.now()
	return earliest.Sub(receivedAt) >= m.settings.DedupeWindow
}

// forget deletes what is left of an id.
func (m *model) forget(id string) {
	delete(m.tombstones, id)
	m.events = slices.DeleteFunc(m.events, func(e *modelEvent) bool { return e.Event.ID == id })
}

// add adds a pending delivery to each of the upstreams.
func (m *model) add(e *modelEvent, upstreams []string) (added int) {
	for _, u := range upstreams {
		if e.delivery(u) == nil {
			e.deliveries = append(e.deliveries, &modelDelivery{DeliveryRecord: queue.DeliveryRecord{Upstream: u, State: queue.Pending}})
			added++
		}
	}
	return added
}

// end ends an event none of whose deliveries is pending.
func (m *model) end(e *modelEvent) {
	if e.has(queue.Pending) {
		return
	}
	_, e.endedAt = m.now()
	if e.state() == queue.Delivered && m.settings.KeepDelivered == 0 {
		e.payload = false
	}
}

// state returns the state of the event as a whole.
func (e *modelEvent) state() queue.State {
	if e.Item.State != "" {
		return e.Item.State
	}
	for _, s := range []queue.State{queue.Dead, queue.Pending} {
		if e.has(s) {
			return s
		}
	}
	return queue.Delivered
}

// has reports whether the event has a delivery in the state.
func (e *modelEvent) has(s queue.State) bool {
	return slices.ContainsFunc(e.deliveries, func(d *modelDelivery) bool { return d.State == s })
}

func (e *modelEvent) delivery(upstream string) *modelDelivery {
	for _, d := range e.deliveries {
		if d.Upstream == upstream {
			return d
		}
	}
	return nil
}

// claim leases deliveries and returns their events, and Next.
func (m *model) claim(upstream string, now time.Time, want queue.Want) (claimed []*modelEvent, next time.Time) {
	var first, retries []*modelEvent
	for _, e := range m.events {
		d := e.delivery(upstream)
		switch {
		case d == nil || d.State != queue.Pending || d.leased:
		case d.NextAttempt.IsZero():
			first = append(first, e)
		case !d.NextAttempt.After(now):
			retries = append(retries, e)
		case next.IsZero() || d.NextAttempt.Before(next):
			next = d.NextAttempt
		}
	}
	slices.SortStableFunc(retries, func(a, b *modelEvent) int {
		return a.delivery(upstream).NextAttempt.Compare(b.delivery(upstream).NextAttempt)
	})
	first = first[:min(want.First, len(first))]
	retries = retries[:min(want.Retry, len(retries))]
	claimed = slices.Concat(first, retries)
	for _, e := range claimed {
		e.delivery(upstream).leased = true
	}
	return claimed, next
}

// settle records an outcome, unless the delivery was purged. The event is that of
// the claim: another may have its id by now.
func (m *model) settle(e *modelEvent, upstream string, o queue.Outcome) {
	d := e.delivery(upstream)
	if d == nil || !d.leased {
		return
	}
	d.leased = false
	d.Attempts++
	if o.Used {
		d.Used++
	}
	d.History = append(d.History, queue.Attempt{Number: d.Attempts, At: o.At, Duration: o.Duration, Result: o.Result, Status: o.Status, Used: o.Used})
	d.History = slices.Clone(d.History[max(0, len(d.History)-queue.MaxHistory):])
	d.State, d.NextAttempt = o.State, time.Time{}
	if o.State == queue.Pending {
		d.NextAttempt = o.Next
	}
	m.end(e)
}

func (m *model) release(e *modelEvent, upstream string) {
	if d := e.delivery(upstream); d != nil {
		d.leased = false
	}
}

// holds reports whether a delivery is still in the store.
func (m *model) holds(e *modelEvent, upstream string) bool {
	return slices.Contains(m.events, e) && e.delivery(upstream) != nil
}

// restart ends the leases, as the end of the process does.
func (m *model) restart() {
	for _, e := range m.events {
		for _, d := range e.deliveries {
			d.leased = false
		}
	}
}

// sweep deletes what has been kept for long enough. Of an event, its id stays known.
func (m *model) sweep() {
	now, _ := m.now()
	m.events = slices.DeleteFunc(m.events, func(e *modelEvent) bool {
		retention := m.settings.DeadRetention
		if e.state() == queue.Delivered {
			retention = max(m.settings.HistoryRetention, m.settings.KeepDelivered)
			e.payload = e.payload && now.Sub(e.endedAt) < m.settings.KeepDelivered
		}
		if e.endedAt.IsZero() || now.Sub(e.endedAt) < retention {
			return false
		}
		m.tombstones[e.Event.ID] = e.Event.ReceivedAt
		return true
	})
}

// stats counts what is in the store, but for the bytes.
func (m *model) stats() queue.Stats {
	s := queue.Stats{MaxBytes: m.settings.MaxSize, Upstreams: make(map[string]queue.UpstreamStats)}
	for _, e := range m.events {
		switch e.state() {
		case queue.Quarantined:
			s.Quarantined++
		case queue.Unrouted:
			s.Unrouted++
		case queue.Unconfirmed:
			s.Unconfirmed++
		}
		for _, d := range e.deliveries {
			u := s.Upstreams[d.Upstream]
			switch d.State {
			case queue.Pending:
				u.Pending++
				u.OldestPending = cmp.Or(u.OldestPending, e.Event.ReceivedAt)
				if d.leased {
					u.InFlight++
				}
			case queue.Dead:
				u.Dead++
			default:
				continue
			}
			s.Upstreams[d.Upstream] = u
		}
	}
	return s
}
