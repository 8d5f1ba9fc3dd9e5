package queuetest

import (
	"cmp"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A model is a queue in its simplest form: what an engine is to answer.
type model struct {
	settings queue.Settings
	now      func() time.Time
	events   []*modelEvent        // in order of arrival
	arrived  int                  // how many there have been
	husks    map[string]time.Time // ids without event, by receipt
}

type modelEvent struct {
	id          string
	arrival     int // grows with each event
	receivedAt  time.Time
	endedAt     time.Time
	quarantined bool
	payload     bool
	deliveries  []*modelDelivery
}

type modelDelivery struct {
	queue.DeliveryRecord
	claimed bool
}

// lastEnded returns when the newest attempt since the last replay ended, or zero.
func (d *modelDelivery) lastEnded() time.Time {
	if d.Attempts == 0 {
		return time.Time{}
	}
	newest := d.History[len(d.History)-1]
	return newest.At.Add(newest.Duration)
}

func newModel(s queue.Settings, clock *Clock) *model {
	return &model{settings: s, now: clock.Now, husks: make(map[string]time.Time)}
}

func (m *model) find(id string) *modelEvent {
	for _, e := range m.events {
		if e.id == id {
			return e
		}
	}
	return nil
}

func (m *model) store(id string, upstreams []string, quarantined bool) (duplicate bool) {
	received, husk := m.husks[id]
	if m.find(id) != nil || (husk && m.now().Sub(received) < m.settings.DedupeWindow) {
		return true
	}
	delete(m.husks, id)
	m.arrived++
	e := &modelEvent{id: id, arrival: m.arrived, receivedAt: m.now(), quarantined: quarantined}
	if !quarantined {
		for _, u := range upstreams {
			e.deliveries = append(e.deliveries, &modelDelivery{DeliveryRecord: queue.DeliveryRecord{Upstream: u, State: queue.Pending}})
		}
	}
	e.payload = quarantined || len(upstreams) > 0
	m.events = append(m.events, e)
	m.end(e)
	return false
}

// end ends an event none of whose deliveries is pending.
func (m *model) end(e *modelEvent) {
	if e.has(queue.Pending) {
		return
	}
	e.endedAt = m.now()
	if !e.quarantined && !e.has(queue.Dead) && m.settings.KeepDelivered == 0 {
		e.payload = false
	}
}

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

// claim returns the ids that Claim is to return, and Next.
func (m *model) claim(upstream string, want queue.Want) (ids []string, next time.Time) {
	var first, retries []*modelEvent
	for _, e := range m.events {
		d := e.delivery(upstream)
		switch {
		case d == nil || d.State != queue.Pending || d.claimed:
		case d.NextAttempt.IsZero():
			first = append(first, e)
		case !d.NextAttempt.After(m.now()):
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
	for _, e := range slices.Concat(first, retries) {
		e.delivery(upstream).claimed = true
		ids = append(ids, e.id)
	}
	return ids, next
}

// settle records an outcome, unless the delivery was purged. The event is that of
// the claim: another may have its id by now.
func (m *model) settle(e *modelEvent, upstream string, o queue.Outcome) {
	d := e.delivery(upstream)
	if d == nil {
		return
	}
	d.claimed = false
	d.Attempts++
	if o.Used {
		d.Used++
	}
	d.History = append(d.History, queue.Attempt{Number: d.Attempts, At: o.At, Duration: o.Duration, Result: o.Result, Status: o.Status, Used: o.Used})
	d.History = d.History[max(0, len(d.History)-queue.MaxHistory):]
	d.State, d.NextAttempt = o.State, time.Time{}
	if o.State == queue.Pending {
		d.NextAttempt = o.Next
	}
	m.end(e)
}

func (m *model) release(e *modelEvent, upstream string) {
	if d := e.delivery(upstream); d != nil {
		d.claimed = false
	}
}

// holds reports whether a delivery is still in the store.
func (m *model) holds(e *modelEvent, upstream string) bool {
	return slices.Contains(m.events, e) && e.delivery(upstream) != nil
}

func (m *model) replay(s queue.ReplaySelection) (out queue.Replayed, refused error) {
	selected := func(d *modelDelivery) bool {
		return (s.Upstreams == nil || slices.Contains(s.Upstreams, d.Upstream)) && (!s.Dead || d.State == queue.Dead)
	}
	events := m.events
	if len(s.IDs) > 0 {
		events = nil
		for _, id := range s.IDs {
			e := m.find(id)
			if e == nil {
				return out, queue.ErrNotFound
			}
			events = append(events, e)
		}
		for _, e := range events {
			switch {
			case e.quarantined:
				return out, queue.ErrInvalid
			case !e.payload:
				return out, queue.ErrNoPayload
			case !slices.ContainsFunc(e.deliveries, selected):
				return out, queue.ErrNotFound
			}
		}
	}
	for _, e := range events {
		if e.receivedAt.Before(s.Since) || !slices.ContainsFunc(e.deliveries, selected) {
			continue
		}
		if !e.payload {
			out.WithoutPayload++
			continue
		}
		for _, d := range e.deliveries {
			if selected(d) && !d.claimed {
				d.State, d.Attempts, d.Used, d.NextAttempt = queue.Pending, 0, 0, time.Time{}
				e.endedAt = time.Time{}
				out.Deliveries++
			}
		}
	}
	return out, nil
}

func (m *model) purge(s queue.PurgeSelection) (n int, refused error) {
	for _, id := range s.IDs {
		if m.find(id) == nil {
			return 0, queue.ErrNotFound
		}
	}
	for _, id := range s.IDs {
		if m.find(id).has(queue.Pending) && !s.Force {
			return 0, queue.ErrPending
		}
	}
	m.events = slices.DeleteFunc(m.events, func(e *modelEvent) bool {
		if !s.Before.IsZero() && !e.receivedAt.Before(s.Before) {
			return false
		}
		left := slices.DeleteFunc(slices.Clone(e.deliveries), func(d *modelDelivery) bool {
			return s.Dead && d.State == queue.Dead || s.Upstream == d.Upstream && d.State != queue.Delivered
		})
		whole := slices.Contains(s.IDs, e.id) || s.Quarantined && e.quarantined
		if !whole && len(left) == len(e.deliveries) {
			return false
		}
		n++
		if s.DryRun {
			return false
		}
		if !whole {
			e.deliveries = left
			m.end(e)
		}
		return whole || len(left) == 0
	})
	return n, nil
}

// expire deletes events and remembers their ids.
func (m *model) expire(which func(*modelEvent) bool) {
	m.events = slices.DeleteFunc(m.events, func(e *modelEvent) bool {
		if !which(e) {
			return false
		}
		m.husks[e.id] = e.receivedAt
		return true
	})
}

func (m *model) sweep() {
	now := m.now()
	m.expire(func(e *modelEvent) bool {
		retention := max(m.settings.HistoryRetention, m.settings.KeepDelivered)
		if e.quarantined || e.has(queue.Dead) {
			retention = m.settings.DeadRetention
		}
		return !e.endedAt.IsZero() && now.Sub(e.endedAt) >= retention
	})
	for _, e := range m.events {
		if !e.endedAt.IsZero() && !e.quarantined && !e.has(queue.Dead) && now.Sub(e.endedAt) >= m.settings.KeepDelivered {
			e.payload = false
		}
	}
}

// restart ends the claims, as the end of the process does.
func (m *model) restart() {
	for _, e := range m.events {
		for _, d := range e.deliveries {
			d.claimed = false
		}
	}
}

func (e *modelEvent) record() queue.Record {
	r := queue.Record{ID: e.id, Provider: "soapnoteapi", Type: "note.generated", ReceivedAt: e.receivedAt, Quarantined: e.quarantined, HasPayload: e.payload}
	if e.quarantined {
		r.Reason = Reason
	}
	for _, d := range e.deliveries {
		r.Deliveries = append(r.Deliveries, d.DeliveryRecord)
	}
	return r
}

// list returns the events that match, newest first.
func (m *model) list(state queue.State, upstream string) (events []*modelEvent) {
	for _, e := range slices.Backward(m.events) {
		match := upstream == "" && (state == "" || state == queue.Delivered && len(e.deliveries) == 0 && !e.quarantined)
		match = match || state == queue.Quarantined && e.quarantined && upstream == ""
		for _, d := range e.deliveries {
			match = match || (state == "" || d.State == state) && (upstream == "" || d.Upstream == upstream)
		}
		if match {
			events = append(events, e)
		}
	}
	return events
}

func (m *model) upstreams() map[string]queue.UpstreamStats {
	out := make(map[string]queue.UpstreamStats)
	for _, e := range m.events {
		for _, d := range e.deliveries {
			u := out[d.Upstream]
			switch d.State {
			case queue.Pending:
				u.Pending++
				u.OldestPending = cmp.Or(u.OldestPending, e.receivedAt)
				if d.claimed {
					u.InFlight++
				}
			case queue.Dead:
				u.Dead++
			default:
				continue
			}
			out[d.Upstream] = u
		}
	}
	return out
}
