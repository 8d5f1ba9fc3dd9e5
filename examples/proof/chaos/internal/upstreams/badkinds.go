package upstreams

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
)

// unknownHost is a URL whose host cannot be in DNS (RFC 6761, section 6.4).
const unknownHost = "http://scribegate.invalid:9000/events"

// streamed is one KiB of an endless answer.
var streamed = strings.Repeat("x", 1024)

const (
	slowness = 300 * time.Millisecond // of the slow upstream
	flapping = 400 * time.Millisecond // how long the flapping upstream is up or down
)

// An eventState is the expected state of the events for a bad upstream.
type eventState string

const (
	wantDelivered eventState = "delivered"            // all of them
	wantPending   eventState = "pending"              // all of them, with all attempts left
	wantFailing   eventState = "pending or dead"      // each of them
	wantDead      eventState = "dead by its schedule" // each of them
	wantOneDead   eventState = "1 dead, others delivered"
)

// A pauseState says whether the upstream is expected to be paused.
type pauseState string

const (
	wantPaused      pauseState = "paused"
	neverPaused     pauseState = "never paused"
	sometimesPaused pauseState = "paused at times"
)

// A badKind is a kind of bad upstream, with the expected state of its events.
type badKind struct {
	name  string
	open  func(ctx context.Context) (*badUpstream, error)
	state eventState
	pause pauseState

	more    string // additional waits in the retry schedule
	lasting bool   // the upstream cannot be repaired
}

func treating(treat func(*exchange)) func(context.Context) (*badUpstream, error) {
	return func(ctx context.Context) (*badUpstream, error) { return listenBadly(ctx, treat) }
}

func answering(text string) func(context.Context) (*badUpstream, error) {
	return treating(func(x *exchange) { _ = x.write(text) })
}

func tooMany(retryAfter string) func(context.Context) (*badUpstream, error) {
	return answering("HTTP/1.1 429 Too Many Requests\r\nRetry-After: " + retryAfter + "\r\nContent-Length: 0\r\n\r\n")
}

// badKinds are all kinds. The expected states follow from the documented rules: an attempt that could
// not connect, whose connection ended before the answer began, or that was answered 429 does not count
// as an attempt. A final 2xx is a success, whatever happens in the body. Five failures of the upstream
// pause it.
var badKinds = []badKind{
	{name: "refuses", open: refuseConnections, state: wantPending, pause: wantPaused},
	{name: "resets", open: treating((*exchange).reset), state: wantPending, pause: wantPaused},
	{name: "hangs before its answer", open: treating((*exchange).hang), state: wantFailing, pause: wantPaused},
	{name: "hangs in the answer's body", open: treating(func(x *exchange) {
		_ = x.write(longAnswer)
		x.hang()
	}), state: wantDelivered, pause: neverPaused},
	{name: "streams without end", open: treating((*exchange).stream), state: wantDelivered, pause: neverPaused},
	{name: "closes in the answer's header", open: treating(func(x *exchange) {
		_ = x.write("HTTP/1.1 200 OK\r\nContent-Le")
		_ = x.conn.Close()
	}), state: wantFailing, pause: wantPaused},
	{name: "closes in the answer's body", open: treating(func(x *exchange) {
		_ = x.write(longAnswer)
		_ = x.conn.Close()
	}), state: wantDelivered, pause: neverPaused},
	{name: "answers slowly", open: treating(func(x *exchange) {
		time.Sleep(slowness)
		_ = x.write(okAnswer)
	}), state: wantDelivered, pause: neverPaused},
	{name: "redirects", open: redirecting, state: wantDead, pause: neverPaused},
	{name: "is not in DNS", open: denied, state: wantPending, pause: wantPaused, lasting: true},
	{name: "429, a date past", open: tooMany("Sun, 06 Nov 1994 08:49:37 GMT"), state: wantPending, pause: neverPaused},
	{name: "429, a date far ahead", open: tooMany("Fri, 01 Jan 2100 00:00:00 GMT"), state: wantPending, pause: wantPaused, lasting: true},
	{name: "flaps", open: flap, state: wantDelivered, pause: sometimesPaused, more: strings.Repeat(" 500ms", 9)},
	{name: "400 to one event", open: treating(func(x *exchange) {
		if x.first {
			_ = x.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_ = x.write(okAnswer)
	}), state: wantOneDead, pause: neverPaused},
}

// denied returns an upstream whose host is not in DNS.
func denied(ctx context.Context) (*badUpstream, error) {
	u := newBadUpstream(ctx, nil)
	u.url = unknownHost
	return u, nil
}

// redirecting returns an upstream that redirects every request to another of its paths.
func redirecting(ctx context.Context) (*badUpstream, error) {
	return answering("HTTP/1.1 307 Temporary Redirect\r\nLocation: " + elsewhere + "\r\nContent-Length: 0\r\n\r\n")(ctx)
}

// flap returns an upstream that is alternately up and down.
func flap(ctx context.Context) (*badUpstream, error) {
	began := time.Now()
	return listenBadly(ctx, func(x *exchange) {
		if time.Since(began)/flapping%2 == 0 {
			_ = x.write(okAnswer)
			return
		}
		_ = x.write("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n")
	})
}

// wrong returns an error unless an upstream of this kind, for which n events were accepted, is in the
// expected state.
func (k badKind) wrong(u gateway.UpstreamStatus, n int, everPaused bool) error {
	var ok bool
	switch k.state {
	case wantDelivered:
		ok = u.Pending == 0 && u.Dead == 0
	case wantPending:
		ok = u.Pending == n && u.Dead == 0
	case wantFailing:
		ok = u.Pending+u.Dead == n
	case wantDead:
		ok = u.Pending == 0 && u.Dead == n
	case wantOneDead:
		ok = u.Pending == 0 && u.Dead == 1
	}
	if !ok {
		return fmt.Errorf("%d events are pending and %d are dead; want %d events %s", u.Pending, u.Dead, n, k.state)
	}
	if k.pause == wantPaused && !u.Paused {
		return errors.New("the upstream is not paused")
	}
	if k.pause == neverPaused && everPaused {
		return errors.New("the upstream was paused")
	}
	return nil
}
