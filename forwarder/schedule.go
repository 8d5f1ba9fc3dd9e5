package forwarder

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// jitter is the fraction of a wait by which it is extended or shortened at most.
	jitter = 0.1

	// maxUnreachedWait bounds the wait after an attempt without a connection. The
	// upstream's pause spaces such attempts. The event's own wait is no longer than
	// the shortest pause, so that after an outage, or a restart during one, delivery
	// goes on as soon as the upstream is back.
	maxUnreachedWait = pace.MinProbeDelay
)

// A schedule has the waits between an event's attempts: n waits for n+1 attempts.
type schedule []time.Duration

// after returns the state of a delivery after an attempt that ended now with v, and
// when the next attempt is due. used is how many earlier attempts count against the
// event's budget. random is in [0, 1).
func (s schedule) after(v verdict, used int, now time.Time, random float64) (queue.State, time.Time) {
	if v.result == queue.Success {
		return queue.Delivered, time.Time{}
	}
	if v.dead || v.used && used >= len(s) {
		return queue.Dead, time.Time{}
	}
	if !v.used && !v.hold.IsZero() {
		return queue.Pending, v.hold
	}
	next := now.Add(s.wait(v, used, random))
	if next.Before(v.hold) {
		next = v.hold
	}
	return queue.Pending, next
}

// wait returns the schedule's present step, with jitter. An attempt that does not
// count waits as if it did. Beyond the last step, the last one applies.
func (s schedule) wait(v verdict, used int, random float64) time.Duration {
	step := DefaultRetry[0]
	if len(s) > 0 {
		step = s[min(used, len(s)-1)]
	}
	if v.unreached {
		step = min(step, maxUnreachedWait)
	}
	wait := time.Duration(float64(step) * (1 + jitter*(2*random-1)))
	if v.unreached {
		wait = min(wait, maxUnreachedWait)
	}
	return wait
}
