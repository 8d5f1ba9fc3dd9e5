package forwarder

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Observer is notified of what the dispatcher does, for logs and metrics. Its
// methods are called by many goroutines at once and must not block. The arguments
// contain nothing of a payload, a query string or a secret, as long as the errors of
// the Senders do not.
type Observer interface {
	// Attempted is called after each attempt, and for each event that becomes dead
	// without one, since it cannot be loaded.
	Attempted(r AttemptReport)

	// Paused is called when attempts at an upstream are paused: until the time that
	// it asked for or, if until is zero, until a probe succeeds. It is called again
	// when that changes.
	Paused(upstream string, until time.Time, cause error)

	// Resumed is called when a pause has ended, or its upstream was removed.
	Resumed(upstream string)

	// Problem is called with an error of the queue. A problem that persists is
	// reported about once a minute.
	Problem(upstream string, err error)
}

// An AttemptReport describes one attempt.
type AttemptReport struct {
	Outcome queue.Outcome
	Err     error         // why there was no answer; nil if there was one
	Lag     time.Duration // from receipt to delivery; 0 unless delivered
}

// noObserver ignores all notifications.
type noObserver struct{}

func (noObserver) Attempted(AttemptReport)         {}
func (noObserver) Paused(string, time.Time, error) {}
func (noObserver) Resumed(string)                  {}
func (noObserver) Problem(string, error)           {}

var _ Observer = noObserver{}
