package policy

import (
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// An Event is everything that a store keeps about an event besides its sealed payload.
// It contains no patient data.
//
// Times are in nanoseconds since 1970; 0 means none.
type Event struct {
	ID         string
	Provider   string
	Type       string // the short type
	Subject    string
	ReceivedAt int64

	// SetAside is Quarantined, Unrouted or Unconfirmed for an event that is kept with
	// its payload and without deliveries, Tombstone for an event of which only the id
	// is kept, and "" for any other event.
	SetAside queue.State
	Reason   string // of a quarantined or unconfirmed event

	Size int64            // bytes of the sealed payload; 0 if it is not kept
	Key  seal.Fingerprint // of the key that sealed the payload

	// EndedAt is when the last delivery ended, or when the event was set aside; 0 while
	// a delivery is pending. For a tombstone it is the time of receipt.
	EndedAt    int64
	Deliveries []Delivery // and stages; an event without upstreams has none
}

// Tombstone is the state of an event of which only the id is kept, so that the same
// event is a duplicate until the end of the dedupe window. Listings skip tombstones.
const Tombstone queue.State = "tombstone"

// New returns the initial event of an item. key sealed the payload, which has size
// bytes then. An item without upstreams that is not set aside needs no payload.
func New(it queue.Item, key seal.Fingerprint, size, now int64) *Event {
	ev := it.Event
	e := &Event{
		ID: ev.ID, Provider: ev.Provider, Type: ev.ShortType(), Subject: ev.Subject, ReceivedAt: Nanos(ev.ReceivedAt),
		SetAside: it.State, Reason: it.Reason, Size: size, Key: key,
	}
	if !it.State.SetAside() {
		e.add(it.Upstreams)
	}
	if !e.has(queue.Pending) {
		e.EndedAt = max(1, now)
	}
	return e
}

// KeepsPayload reports whether an item's payload is stored.
func KeepsPayload(it queue.Item) bool { return it.State.SetAside() || HasUpstream(it.Upstreams) }

// add adds a pending delivery for each of the names, unless there is no upstream among
// them. It returns the number of new deliveries to upstreams.
func (e *Event) add(names []string) (n int) {
	if !HasUpstream(names) {
		return 0
	}
	for _, name := range names {
		if e.Delivery(name) != nil {
			continue
		}
		e.Deliveries = append(e.Deliveries, Delivery{Upstream: name, State: queue.Pending})
		if !queue.IsStage(name) {
			n++
		}
	}
	e.Gate()
	return n
}

// Clone returns a copy that shares no mutable data.
func (e *Event) Clone() *Event {
	c := *e
	c.Deliveries = slices.Clone(e.Deliveries)
	return &c
}

// State returns the state of the event as a whole.
func (e *Event) State() queue.State {
	switch {
	case e.SetAside != "":
		return e.SetAside
	case e.has(queue.Dead):
		return queue.Dead
	case e.has(queue.Pending):
		return queue.Pending
	}
	return queue.Delivered
}

// has reports whether a delivery to an upstream is in the state.
func (e *Event) has(s queue.State) bool {
	return slices.ContainsFunc(e.Deliveries, func(d Delivery) bool { return d.State == s && !queue.IsStage(d.Upstream) })
}

// Pending reports whether the event waits for an upstream.
func (e *Event) Pending() bool { return e.has(queue.Pending) }

// Waiting returns the names of the pending deliveries and stages.
func (e *Event) Waiting() (names []string) {
	for i := range e.Deliveries {
		if d := &e.Deliveries[i]; d.State == queue.Pending {
			names = append(names, d.Upstream)
		}
	}
	return names
}

// Delivery returns the delivery to an upstream, or the stage with the name, or nil.
func (e *Event) Delivery(upstream string) *Delivery {
	for i := range e.Deliveries {
		if e.Deliveries[i].Upstream == upstream {
			return &e.Deliveries[i]
		}
	}
	return nil
}

// Matches reports whether the event is in state s or has a delivery in it, and whether
// that delivery is to the upstream. "" matches all.
func (e *Event) Matches(s queue.State, upstream string) bool {
	if upstream == "" && (s == "" || s == e.SetAside || s == queue.Delivered && len(e.Deliveries) == 0 && e.SetAside == "") {
		return true
	}
	return slices.ContainsFunc(e.Deliveries, func(d Delivery) bool {
		return (s == "" || d.State == s) && (upstream == "" || d.Upstream == upstream) && !queue.IsStage(d.Upstream)
	})
}

// InState returns a function that reports whether a selection by state has a delivery of the
// event or, for nil, the event as one that is set aside. match may be nil. The function asks
// it about the event as it is now, whatever changes before the function is called.
func (e *Event) InState(s queue.State, match queue.Match) func(*Delivery) bool {
	var r queue.Record
	if match != nil {
		r = e.Record()
	}
	return func(d *Delivery) bool {
		switch {
		case s == "":
			return false
		case d == nil:
			return e.SetAside == s && (match == nil || match(r, nil))
		case d.State != s || match == nil:
			return d.State == s
		}
		asked := d.record()
		return match(r, &asked)
	}
}

// Replay makes the selected deliveries to upstreams due at once, and returns their
// number. If there is any, a completion that is pending and selected becomes due at once
// too. If route has upstreams, an unrouted or unconfirmed event becomes an ordinary event
// with a delivery to each of them, and with the stages of route. Any other event that is
// set aside stays unchanged.
func (e *Event) Replay(route []string, selected func(*Delivery) bool) (n int) {
	switch e.SetAside {
	case "":
	case queue.Unrouted, queue.Unconfirmed:
		if n = e.add(route); n > 0 {
			e.SetAside, e.Reason, e.EndedAt = "", "", 0
		}
		return n
	default:
		return 0
	}
	for i := range e.Deliveries {
		if d := &e.Deliveries[i]; !queue.IsStage(d.Upstream) && selected(d) {
			d.replay()
			n++
		}
	}
	if n == 0 {
		return 0
	}
	if d := e.Completion(); d != nil && selected(d) {
		d.replay()
	}
	e.EndedAt = 0
	e.Gate()
	return n
}

// Drop deletes the selected deliveries to upstreams, and returns their number. If there
// is any, it deletes the event's cleanup too, and after the last one all stages. The
// caller must delete an event that has no deliveries left.
func (e *Event) Drop(now int64, keep time.Duration, selected func(*Delivery) bool) (n int) {
	before, left := len(e.Deliveries), false
	e.Deliveries = slices.DeleteFunc(e.Deliveries, func(d Delivery) bool {
		stage := queue.IsStage(d.Upstream)
		dropped := !stage && selected(&d)
		left = left || !stage && !dropped
		return dropped
	})
	if n = before - len(e.Deliveries); n == 0 {
		return 0
	}
	e.dropStages(func(name string) bool { return !left || queue.IsCleanup(name) })
	if left {
		e.end(now, keep)
	}
	return n
}

// Bury turns the event into a tombstone.
func (e *Event) Bury() {
	*e = Event{ID: e.ID, Provider: e.Provider, ReceivedAt: e.ReceivedAt, SetAside: Tombstone, EndedAt: max(1, e.ReceivedAt)}
}

// Record returns the event in the form of the queue interface.
func (e *Event) Record() queue.Record {
	r := queue.Record{
		ID: e.ID, Provider: e.Provider, Type: e.Type, Subject: e.Subject, ReceivedAt: Time(e.ReceivedAt), EndedAt: Time(e.EndedAt),
		State: e.State(), Reason: e.Reason, HasPayload: e.Size > 0, Deliveries: make([]queue.DeliveryRecord, 0, len(e.Deliveries)),
	}
	for i := range e.Deliveries {
		if d := &e.Deliveries[i]; queue.IsStage(d.Upstream) {
			r.Stages = append(r.Stages, d.record())
		} else {
			r.Deliveries = append(r.Deliveries, d.record())
		}
	}
	return r
}
