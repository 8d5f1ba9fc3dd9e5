package policy

import (
	"math"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A Delivery is one delivery of an event to one upstream, or one of the event's stages.
//
// Its state machine:
//
//	             Settle(Pending)
//	pending  ──────────────────▶ pending ─────────┐
//	(first)                      (retry) ◀────────┘
//	   │ Settle(Delivered), Settle(Dead)  │
//	   ▼                                  ▼
//	delivered, dead ───── Replay ─────▶ pending (first)
//
// A lease is not part of this state: the engine keeps it, and Settle and Release end
// it.
type Delivery struct {
	Upstream string
	State    queue.State // Pending, Delivered or Dead
	Attempts int         // since the last replay
	Used     int         // how many of them count against the budget
	Blocked  bool        // pending, and not to be claimed before another delivery of the event has ended; set by Gate

	// Due is when the next attempt is due, in nanoseconds since 1970, for a pending
	// delivery that was attempted since it was stored or replayed; else 0.
	Due int64

	History []queue.Attempt // the newest MaxHistory attempts, oldest first
}

// First reports whether the delivery can be claimed and was not attempted since it was
// stored or replayed.
func (d *Delivery) First() bool { return d.State == queue.Pending && d.Due == 0 && !d.Blocked }

// settle applies the outcome of an attempt.
func (d *Delivery) settle(o *queue.Outcome) {
	d.Attempts++
	if o.Used {
		d.Used++
	}
	history := d.History[max(0, len(d.History)+1-queue.MaxHistory):]
	d.History = append(slices.Clip(history), queue.Attempt{
		Number: d.Attempts, At: o.At, Duration: o.Duration, Result: o.Result, Status: o.Status, Used: o.Used, Note: o.Note,
	})
	d.State, d.Due = o.State, 0
	if d.State == queue.Pending {
		d.Due = max(1, Nanos(o.Next)) // never 0, which means "not attempted"
	}
}

// replay makes the delivery due at once and counts its attempts from 1 again.
func (d *Delivery) replay() {
	d.State, d.Attempts, d.Used, d.Due = queue.Pending, 0, 0, 0
}

// LastEnded returns when the newest attempt since the last replay ended, or zero.
func (d *Delivery) LastEnded() time.Time {
	if d.Attempts == 0 || len(d.History) == 0 {
		return time.Time{}
	}
	return d.History[len(d.History)-1].End()
}

// record returns the delivery in the form of the queue interface.
func (d *Delivery) record() queue.DeliveryRecord {
	r := queue.DeliveryRecord{Upstream: d.Upstream, State: d.State, Attempts: d.Attempts, Used: d.Used, History: d.History}
	if d.State == queue.Pending {
		r.NextAttempt = Time(d.Due)
	}
	return r
}

// ClaimOf returns the delivery to an upstream, or the stage, in the form of Claim.
func (e *Event) ClaimOf(seq int64, upstream string) queue.Delivery {
	out := queue.Delivery{
		Seq: uint64(seq), EventID: e.ID, Provider: e.Provider, Type: e.Type, Subject: e.Subject,
		Upstream: upstream, Size: e.Size, ReceivedAt: Time(e.ReceivedAt),
	}
	d := e.Delivery(upstream)
	if d == nil {
		return out
	}
	out.Attempts, out.Used, out.LastEnded = d.Attempts, d.Used, d.LastEnded()
	if queue.IsStage(upstream) {
		out.History = d.History
	}
	return out
}

// Nanos returns a time in nanoseconds since 1970, and 0 for the zero time. It clamps a
// time that is out of range.
func Nanos(t time.Time) int64 {
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

// Time is the inverse of Nanos.
func Time(n int64) time.Time {
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}
