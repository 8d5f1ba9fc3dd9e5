package pace

import "time"

const (
	// MinCheck is when the queue is asked again after an outcome although nothing woke
	// the agenda, since the next attempt is visible only once the queue has recorded the
	// outcome. After that it is asked less and less often.
	MinCheck = 100 * time.Millisecond

	// MaxCheck is the longest time after which the queue is asked again.
	MaxCheck = 30 * time.Second

	// QueueBackoff is the wait after an error of the queue.
	QueueBackoff = time.Second
)

// An Agenda decides when to ask the queue for an upstream's deliveries. It is pure
// data; the zero value asks at once.
type Agenda struct {
	idle    bool      // the queue has been asked and had no more
	next    time.Time // when the next delivery is due; zero if that is not known
	check   time.Time // when to ask in any case
	putOff  time.Time // when a delivery was last put off
	blocked time.Time // not before, after an error
}

// Ready reports whether to ask the queue now, and if not, when.
func (a *Agenda) Ready(now time.Time) (ready bool, at time.Time) {
	if now.Before(a.blocked) {
		return false, a.blocked
	}
	if !a.idle {
		return true, time.Time{}
	}
	// Both are checked: next depends on a clock that can be set, check does not.
	if !now.Before(a.check) || !a.next.IsZero() && !now.Before(a.next) {
		return true, time.Time{}
	}
	return false, Earlier(a.next, a.check)
}

// Wake records that a delivery may have become due.
func (a *Agenda) Wake() { a.idle = false }

// Asking records that the queue is about to be asked. It is called before that, so
// that a wake in the meantime is not lost.
func (a *Agenda) Asking(now time.Time) {
	a.idle = true
	if !now.Before(a.next) {
		a.next = time.Time{}
	}
}

// Asked records the queue's answer: whether there may be more, and when the next
// delivery is due.
func (a *Agenda) Asked(now time.Time, more bool, next time.Time) {
	if more {
		a.idle = false
	}
	if !next.IsZero() && !next.After(now) {
		next = now.Add(MinCheck) // it could not be claimed, so asking again at once would spin
	}
	a.expect(next)
	a.check = now.Add(min(max(now.Sub(a.putOff), MinCheck), MaxCheck))
}

// Failed records an error of the queue.
func (a *Agenda) Failed(now time.Time) {
	a.idle = false
	a.blocked = now.Add(QueueBackoff)
}

// Postpone records that the queue was given a delivery that is due at next.
func (a *Agenda) Postpone(now, next time.Time) {
	a.expect(next)
	a.putOff = now
	if soon := now.Add(MinCheck); soon.Before(a.check) {
		a.check = soon
	}
}

// expect records that a delivery is due at next; a zero next is ignored.
func (a *Agenda) expect(next time.Time) {
	if !next.IsZero() && (a.next.IsZero() || next.Before(a.next)) {
		a.next = next
	}
}

// Earlier returns the earlier of two times; a zero a is ignored.
func Earlier(a, b time.Time) time.Time {
	if !a.IsZero() && a.Before(b) {
		return a
	}
	return b
}
