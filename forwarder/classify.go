package forwarder

import (
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// A verdict is the meaning of an attempt's result.
type verdict struct {
	result queue.Result
	used   bool // the attempt counts against the event's budget

	upstreamFault bool // the failure is the upstream's and not the event's alone
	internal      bool // the failure is the gateway's, and says nothing about the upstream
	dead          bool // the event is not to be tried again
	unreached     bool // there was no connection: the upstream has not seen the event

	hold time.Time // until when the upstream asks for no attempts; zero if it does not
}

// pace returns what the verdict says about the upstream.
func (v verdict) pace() pace.Verdict {
	return pace.Verdict{Fault: v.upstreamFault, Internal: v.internal, Hold: v.hold}
}

// classify returns the verdict on an attempt that ended with an answer of the
// upstream, or with an error. alive reports whether the upstream has answered another
// event since this one's previous attempt.
func classify(a Answer, err error, alive bool, now time.Time) verdict {
	if err != nil {
		return classifyError(err, alive)
	}
	switch {
	case a.Status >= 200 && a.Status <= 299:
		return verdict{result: queue.Success, used: true}
	case a.Status == http.StatusGone:
		return verdict{result: queue.Gone, used: true, dead: true}
	case a.Status == http.StatusTooManyRequests:
		return verdict{result: queue.Failure, hold: pace.RetryAfter(a.RetryAfter, now)}
	case a.Status == http.StatusServiceUnavailable:
		return verdict{result: queue.Failure, used: true, upstreamFault: true, hold: pace.RetryAfter(a.RetryAfter, now)}
	case a.Status >= 500 && a.Status <= 599:
		return verdict{result: queue.Failure, used: true, upstreamFault: true}
	case a.Status == 0: // the route has answered nothing
		return verdict{result: queue.Failure, used: true, internal: true}
	default:
		return verdict{result: queue.Failure, used: true}
	}
}

// classifyError is classify for an attempt without an answer. Without a connection
// the event has not been tried. A connection that ended unanswered counts the same,
// unless the upstream is alive: then the event itself may make it fail.
func classifyError(err error, alive bool) verdict {
	switch {
	case errors.Is(err, ErrConnect), errors.Is(err, ErrUnanswered) && !alive:
		return verdict{result: queue.ConnectError, upstreamFault: true, unreached: true}
	case errors.Is(err, ErrInternal):
		return verdict{result: queue.Failure, used: true, internal: true}
	}
	if timeout, ok := errors.AsType[net.Error](err); ok && timeout.Timeout() {
		return verdict{result: queue.Timeout, used: true, upstreamFault: true}
	}
	return verdict{result: queue.Failure, used: true, upstreamFault: true}
}
