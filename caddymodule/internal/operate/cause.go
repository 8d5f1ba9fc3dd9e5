package operate

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A Cause is why a delivery is dead, or why an event is set aside. Causes can be compared.
type Cause struct {
	Upstream string       // of a dead delivery
	Outcome  queue.Result // of the last attempt at a dead delivery
	Status   int          // of the upstream's last answer; 0 if there was none
	Reason   string       // of a quarantined or unconfirmed event
	Type     string       // of an unrouted event: the type that no upstream accepts
}

// CauseOf returns the cause of a dead delivery, or, if the delivery is nil, that of an event
// that is set aside.
func CauseOf(r queue.Record, d *queue.DeliveryRecord) Cause {
	switch {
	case d != nil:
		last := lastAttempt(d)
		return Cause{Upstream: d.Upstream, Outcome: last.Result, Status: last.Status}
	case r.State == queue.Unrouted:
		return Cause{Type: r.Type}
	default:
		return Cause{Reason: r.Reason}
	}
}

// Since returns when a delivery died, or, if the delivery is nil, when the event was set
// aside.
func Since(r queue.Record, d *queue.DeliveryRecord) time.Time {
	if d != nil {
		return lastAttempt(d).End()
	}
	return r.EndedAt
}

// lastAttempt returns the last attempt at a delivery that has ended.
func lastAttempt(d *queue.DeliveryRecord) (last queue.Attempt) {
	if n := len(d.History); n > 0 {
		last = d.History[n-1]
	}
	return last
}
