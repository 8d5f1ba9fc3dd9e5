package forwarder

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// An UpstreamStatus is the state of an upstream.
type UpstreamStatus struct {
	Name     string
	InFlight int // attempts

	// Paused reports whether attempts are paused. PausedUntil is when they go on or,
	// after failures, when the next probe is due. If that time has passed, the probe
	// is in flight, or waits for an event that is due.
	Paused      bool
	PauseReason PauseReason // "" if it is not paused
	PausedUntil time.Time

	LastSuccess time.Time // since the process's start; zero if there was none
	LastFailure Failure   // likewise
}

// A PauseReason is why attempts at an upstream are paused. The set is closed.
type PauseReason = pace.Reason

// The reasons for a pause.
const (
	Failures   = pace.Failures       // the upstream failed repeatedly, and is probed
	RetryAfter = pace.RetryRequested // the upstream asked for it
)

// A Failure is an attempt that did not deliver its event. The zero value is none.
type Failure struct {
	At     time.Time // when it ended
	Result queue.Result
	Status int // of the upstream's answer; 0 if there was none
}

// Status returns the status of every upstream, in the order of the configuration.
func (d *Dispatcher) Status() []UpstreamStatus {
	d.mu.RLock()
	defer d.mu.RUnlock()
	now := d.options.Now()
	all := make([]UpstreamStatus, 0, len(d.runners))
	for _, r := range d.runners {
		all = append(all, r.status(now))
	}
	return all
}

func (r *runner) status(now time.Time) UpstreamStatus {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := UpstreamStatus{Name: r.name, InFlight: r.inFlight, LastSuccess: r.lastSuccess, LastFailure: r.lastFailure}
	s.PauseReason, s.PausedUntil = r.pause.Reason(now)
	s.Paused = s.PauseReason != ""
	return s
}
