package queue

import (
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// A Result is how an attempt ended. The set is closed and is also the metric's label.
type Result string

// The results of an attempt.
const (
	Success      Result = "success"
	Failure      Result = "failure"
	Timeout      Result = "timeout"
	ConnectError Result = "connect_error"
	Gone         Result = "gone"
)

// Results lists all results.
var Results = []Result{Success, Failure, Timeout, ConnectError, Gone}

// An Outcome is the outcome of one attempt.
type Outcome struct {
	Delivery Delivery
	At       time.Time // when the attempt began
	Duration time.Duration
	Status   int // of the upstream's answer; 0 if there was none
	Result   Result
	Used     bool      // whether it counts against the budget
	State    State     // Pending, Delivered or Dead; of a completion Pending, Delivered or Unconfirmed; otherwise Settle is a Release
	Next     time.Time // if Pending: the next attempt starts no earlier

	// Of a completion that is Delivered: Event replaces the stored event, and has the same
	// id; nil leaves the stored one. Retain drops the event's cleanup, so that the result
	// stays at the provider.
	Event  *event.Event
	Retain bool

	Reason string // of a completion that is Unconfirmed: a fixed phrase

	// Note is what a stage needs to know at its next attempt: it is returned in the
	// history. It is not sealed, and has at most 128 bytes.
	Note string
}

// An Attempt is an outcome in the history of a delivery.
type Attempt struct {
	Number   int // from 1; a replay starts again at 1
	At       time.Time
	Duration time.Duration
	Result   Result
	Status   int
	Used     bool   // whether it counts against the budget
	Note     string // of a stage: see Outcome
}

// End returns when the attempt ended.
func (a Attempt) End() time.Time { return a.At.Add(a.Duration) }

// MaxHistory is the number of attempts that are kept for a delivery: the newest ones. A
// delivery can be attempted without end while its upstream is down, and its history
// must not fill the disk.
const MaxHistory = 50
