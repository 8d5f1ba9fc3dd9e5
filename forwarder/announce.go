package forwarder

import "time"

// problemInterval is the least time between two reports of what goes on failing.
const problemInterval = time.Minute

// announceStep is how much longer an upstream must ask to be left alone for that
// to be announced again: attempts that were under way together ask one after another.
const announceStep = time.Minute

// announce notifies the observer when the upstream has been paused or resumed, and
// when the end of a pause has become another. Only the loop does, so that a pause
// is announced before its end.
func (r *runner) announce(now time.Time) {
	r.mu.Lock()
	until, paused := r.pause.paused(now)
	cause := r.pause.cause
	r.mu.Unlock()
	if paused == r.announced && until.IsZero() == r.until.IsZero() && until.Sub(r.until) <= announceStep {
		return
	}
	r.announced, r.until = paused, until
	if paused {
		r.dispatcher.tell().Paused(r.name, until, cause)
		return
	}
	r.dispatcher.tell().Resumed(r.name)
}

func (r *runner) announceEnd() {
	if r.announced {
		r.dispatcher.tell().Resumed(r.name)
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
		r.dispatcher.tell().Problem(r.name, err)
	}
}
