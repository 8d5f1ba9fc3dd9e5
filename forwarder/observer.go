package forwarder

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Observer is told what the dispatcher does, for logs and metrics.
// Its methods are called from many goroutines at once and must not block. What
// it is told holds nothing of a payload, a query string or a secret, as long as
// the errors of the Senders do not.
type Observer interface {
	// Attempted is called after each attempt, and for each event that is dead
	// without one, since it cannot be read.
	Attempted(r AttemptReport)

	// Paused is called when attempts at an upstream are held back: until a
	// time that it asked for, or, where until is zero, until a probe gets
	// through. It is called again where that has become something else.
	Paused(upstream string, until time.Time, cause error)

	// Resumed is called when a pause has ended, or its upstream is no more.
	Resumed(upstream string)

	// Problem is called when the queue fails the dispatcher. What goes on
	// failing is told about once a minute.
	Problem(upstream string, err error)
}

// An AttemptReport tells of one attempt.
type AttemptReport struct {
	Outcome queue.Outcome
	Err     error         // why there was no answer; nil if there was one
	Lag     time.Duration // from receipt to delivery; 0 unless delivered
}

// nobody observes nothing.
type nobody struct{}

func (nobody) Attempted(AttemptReport)         {}
func (nobody) Paused(string, time.Time, error) {}
func (nobody) Resumed(string)                  {}
func (nobody) Problem(string, error)           {}

var _ Observer = nobody{}
