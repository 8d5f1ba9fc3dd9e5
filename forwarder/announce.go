package forwarder

import "time"

// problemInterval is the least time between two reports of a problem that persists.
const problemInterval = time.Minute

// announceStep is by how much an upstream must extend a pause that it asked for, for
// that to be announced again: several attempts in flight may each extend it a little.
const announceStep = time.Minute

// announce notifies the observer when the upstream is paused or resumed, and when
// the end of a pause has moved. Only the loop calls it, so that a pause is announced
// before its end.
func (r *runner) announce(now time.Time) {
	r.mu.Lock()
	until, paused := r.pause.Paused(now)
	cause := r.pause.Cause()
	r.mu.Unlock()
	if paused == r.announced && until.IsZero() == r.until.IsZero() && until.Sub(r.until) <= announceStep {
		return
	}
	r.announced, r.until = paused, until
	if paused {
		r.dispatcher.notify().Paused(r.name, until, cause)
		return
	}
	r.dispatcher.notify().Resumed(r.name)
}

func (r *runner) announceEnd() {
	if r.announced {
		r.dispatcher.notify().Resumed(r.name)
	}
}

// problem reports an error to the observer, unless one was reported just before.
func (r *runner) problem(now time.Time, err error) {
	r.mu.Lock()
	known := !r.lastProblem.IsZero() && now.Sub(r.lastProblem) < problemInterval
	if !known {
		r.lastProblem = now
	}
	r.mu.Unlock()
	if !known {
		r.dispatcher.notify().Problem(r.name, err)
	}
}
