package forwarder

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// jitter is the part of a wait by which it is made longer or shorter.
	jitter = 0.1

	// maxUnreachedWait bounds the wait after an attempt that reached nobody.
	// The upstream's pause is what spaces such attempts; the event's own wait is
	// no longer than the shortest pause, so that after an outage, or a restart
	// during one, nothing but the upstream is waited for.
	maxUnreachedWait = minProbeDelay
)

// A schedule is the waits between an event's attempts: n waits make n+1 of them.
type schedule []time.Duration

// after says what becomes of a delivery of which used attempts had counted
// against its budget before the one that ended now with v, and when it is to be
// tried again. random is in [0, 1).
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

// wait is the schedule's present step, jittered. An attempt that used nothing
// waits as if it had, and beyond the last step as the last one says.
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
