package forwarder

import "time"

const (
	// The queue is asked again after a while although nothing was announced:
	// soon after an outcome, since what it put off is seen only once the queue
	// has written it down, then less and less often.
	minCheck = 100 * time.Millisecond
	maxCheck = 30 * time.Second

	// queueBackoff is the wait after an error of the queue.
	queueBackoff = time.Second
)

// An agenda says when it is worth asking the queue for an upstream's
// deliveries. It is pure data; the zero value asks at once.
type agenda struct {
	idle    bool      // the queue has been asked and had no more
	next    time.Time // when something will be due; zero if nothing is known to be
	check   time.Time // when to ask in any case
	putOff  time.Time // when a delivery was last put off
	blocked time.Time // not before, after an error
}

// ready reports whether to ask the queue now, and if not, when.
func (a *agenda) ready(now time.Time) (ready bool, at time.Time) {
	if now.Before(a.blocked) {
		return false, a.blocked
	}
	if !a.idle {
		return true, time.Time{}
	}
	// Each is looked at by itself: only check is by a clock that nobody sets.
	if !now.Before(a.check) || !a.next.IsZero() && !now.Before(a.next) {
		return true, time.Time{}
	}
	return false, earlier(a.next, a.check)
}

// wake takes in that something may have become due.
func (a *agenda) wake() { a.idle = false }

// asking takes in that the queue is about to be asked. It is told before, so
// that whatever wakes the agenda meanwhile is not lost.
func (a *agenda) asking(now time.Time) {
	a.idle = true
	if !now.Before(a.next) {
		a.next = time.Time{}
	}
}

// asked takes in the queue's answer: whether there may be more, and when the
// next delivery will be due.
func (a *agenda) asked(now time.Time, more bool, next time.Time) {
	if more {
		a.idle = false
	}
	if !next.IsZero() && !next.After(now) {
		next = now.Add(minCheck) // it was not to be had, so asking on would spin
	}
	a.expect(next)
	a.check = now.Add(min(max(now.Sub(a.putOff), minCheck), maxCheck))
}

// failed takes in that the queue could not do what it was asked.
func (a *agenda) failed(now time.Time) {
	a.idle = false
	a.blocked = now.Add(queueBackoff)
}

// postpone takes in that a delivery was given to the queue to be due at next.
func (a *agenda) postpone(now, next time.Time) {
	a.expect(next)
	a.putOff = now
	if soon := now.Add(minCheck); soon.Before(a.check) {
		a.check = soon
	}
}

// expect takes in that something will be due at next, or nothing if it is zero.
func (a *agenda) expect(next time.Time) {
	if !next.IsZero() && (a.next.IsZero() || next.Before(a.next)) {
		a.next = next
	}
}
