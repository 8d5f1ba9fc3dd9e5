package result

import (
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result/rest"
)

// An Observer is notified of what the stages do, for logs and metrics. Its methods are
// called by many goroutines at once and must not block. The arguments contain nothing of
// a payload, a query string or a key.
type Observer interface {
	// Attempted is called after each attempt that has an outcome.
	Attempted(r Report)

	// Paused is called when a stage asks its API nothing more: until the time that the API
	// asked for or, if until is zero, until a probe succeeds. It is called again when that
	// changes.
	Paused(stage string, until time.Time, cause error)

	// Resumed is called when a pause has ended.
	Resumed(stage string)

	// Problem is called with an error of the queue. A problem that persists is reported
	// about once a minute.
	Problem(stage string, err error)
}

// A Report describes an attempt. Outcome.Delivery names the stage and the event.
type Report struct {
	Outcome queue.Outcome
	Word    Word
	Err     error // why the API did not give what it was asked for; may be nil

	// Asked is whether the API was asked; if not, the attempt took no time worth
	// measuring.
	Asked bool

	// Unavailable is why the event is completed without its transcript; else "".
	Unavailable string
}

// A Word is the outcome of an attempt of a stage. The set is closed and is also the
// metric's label.
type Word string

// The words that are not kinds of package rest.
const (
	Done        Word = "success"
	OtherStatus Word = "other_status" // the API knows the transcription with another status
	Unreadable  Word = "unreadable"   // the event cannot be read from the store
)

// Words returns all words.
func Words() []Word {
	words := slices.Grow([]Word{Done, OtherStatus, Unreadable}, len(rest.Kinds))
	for _, kind := range rest.Kinds {
		words = append(words, Word(kind))
	}
	return words
}

// noObserver ignores all notifications.
type noObserver struct{}

func (noObserver) Attempted(Report)                {}
func (noObserver) Paused(string, time.Time, error) {}
func (noObserver) Resumed(string)                  {}
func (noObserver) Problem(string, error)           {}

var _ Observer = noObserver{}
