package boltqueue

import (
	"math"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A record is the trace of an event: all that the store tells of it without
// opening its payload. Nothing in it is patient data.
//
// Times are nanoseconds since 1970; 0 is none.
type record struct {
	id          string
	provider    string
	typ         string // the short type
	receivedAt  int64
	quarantined bool
	reason      string      // why it is quarantined
	payload     bool        // whether the sealed payload is kept
	size        int64       // of the sealed payload, in bytes
	key         fingerprint // that sealed it
	endedAt     int64       // when the last delivery ended; 0 while one is pending
	deliveries  []delivery
}

// A delivery is where one delivery of an event stands.
//
// A pending one whose next is 0 was never attempted, or was replayed since, and
// is in the first index of its upstream; any other is in the retry index.
type delivery struct {
	upstream string
	state    queue.State
	attempts int
	used     int
	next     int64
	history  []queue.Attempt
}

// A class is what has become of an event that has ended. Each has a retention
// of its own.
type class string

const (
	classDelivered   class = "delivered"
	classDead        class = "dead"
	classQuarantined class = "quarantined"
)

// class tells the class of an event that has ended.
func (r *record) class() class {
	if r.quarantined {
		return classQuarantined
	}
	if r.has(queue.Dead) {
		return classDead
	}
	return classDelivered
}

// has reports whether a delivery of the event is in the state.
func (r *record) has(s queue.State) bool {
	for i := range r.deliveries {
		if r.deliveries[i].state == s {
			return true
		}
	}
	return false
}

// forNobody reports whether the event had no deliveries to begin with. Nothing is left
// to be done for it, so that it counts as delivered.
func (r *record) forNobody() bool { return len(r.deliveries) == 0 && !r.quarantined }

// delivery returns the delivery to the upstream, or nil.
func (r *record) delivery(upstream string) *delivery {
	for i := range r.deliveries {
		if r.deliveries[i].upstream == upstream {
			return &r.deliveries[i]
		}
	}
	return nil
}

// forgetPayload has the record tell of no payload.
func (r *record) forgetPayload() { r.payload, r.size, r.key = false, 0, fingerprint{} }

// settle takes in the outcome of an attempt.
func (d *delivery) settle(o *queue.Outcome) {
	d.attempts++
	if o.Used {
		d.used++
	}
	d.remember(queue.Attempt{Number: d.attempts, At: o.At, Duration: o.Duration, Result: o.Result, Status: o.Status, Used: o.Used})
	d.state, d.next = o.State, 0
	if d.state == queue.Pending {
		d.next = max(1, nanos(o.Next)) // never 0, which says that it was not attempted
	}
}

// remember adds an attempt to the history, which keeps the newest.
func (d *delivery) remember(a queue.Attempt) {
	if over := len(d.history) + 1 - queue.MaxHistory; over > 0 {
		d.history = d.history[over:]
	}
	d.history = append(d.history, a)
}

// lastEnded returns when the newest attempt since the last replay ended, or zero.
func (d *delivery) lastEnded() time.Time {
	if d.attempts == 0 || len(d.history) == 0 {
		return time.Time{}
	}
	newest := d.history[len(d.history)-1]
	return newest.At.Add(newest.Duration)
}

// told is the record as the interface tells it.
func (r *record) told() queue.Record {
	out := queue.Record{
		ID:          r.id,
		Provider:    r.provider,
		Type:        r.typ,
		ReceivedAt:  at(r.receivedAt),
		Quarantined: r.quarantined,
		Reason:      r.reason,
		HasPayload:  r.payload,
		Deliveries:  make([]queue.DeliveryRecord, len(r.deliveries)),
	}
	for i := range r.deliveries {
		d := &r.deliveries[i]
		out.Deliveries[i] = queue.DeliveryRecord{
			Upstream: d.upstream,
			State:    d.state,
			Attempts: d.attempts,
			Used:     d.used,
			History:  d.history,
		}
		if d.state == queue.Pending {
			out.Deliveries[i].NextAttempt = at(d.next)
		}
	}
	return out
}

// nanos is a time as records and keys hold it. What is outside of their range
// becomes its nearest end.
func nanos(t time.Time) int64 {
	switch {
	case t.IsZero():
		return 0
	case t.Before(earliest):
		return earliest.UnixNano()
	case t.After(latest):
		return latest.UnixNano()
	}
	return t.UnixNano()
}

var (
	earliest = time.Unix(0, 1)
	latest   = time.Unix(0, math.MaxInt64)
)

// at is the time that nanos made n of.
func at(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
