package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
)

// unknownHost is a URL whose host DNS has to deny (RFC 6761, section 6.4).
const unknownHost = "http://scribegate.invalid:9000/events"

// streamed is a KiB of an answer without end.
var streamed = strings.Repeat("x", 1024)

const (
	slowness = 300 * time.Millisecond // of the slow upstream
	flapping = 400 * time.Millisecond // how long the flapping one is up, and then down
)

// A fate is what has to become of the events for a bad upstream while it is bad.
type fate string

const (
	fateDelivered fate = "delivered"            // all of them
	fateWaiting   fate = "pending"              // all of them: nothing was used up
	fateFailing   fate = "pending or dead"      // each of them
	fateDead      fate = "dead by its schedule" // each of them
	fateOneDead   fate = "1 dead, others delivered"
)

// A rest is whether the upstream has to be paused.
type rest string

const (
	restPaused rest = "paused"
	restNever  rest = "never paused"
	restEither rest = "paused at times"
)

// A badKind is one way to be a bad upstream, and what has to come of it.
type badKind struct {
	name string
	open func(ctx context.Context) (*badUpstream, error)
	fate fate
	rest rest

	more    string // waits in the schedule, where the usual ones are too few
	lasting bool   // it cannot be healed
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

// badKinds are all there are. What has to come of each is said by the contract's
// section on delivery: an attempt that could not connect, whose connection ended
// before an answer began, or that was answered 429, uses none of its event's
// attempts up; a final 2xx is success, whatever the body does after; five failures
// that are the upstream's pause it.
var badKinds = []badKind{
	{name: "refuses", open: refuseConnections, fate: fateWaiting, rest: restPaused},
	{name: "resets", open: treating((*exchange).reset), fate: fateWaiting, rest: restPaused},
	{name: "hangs before its answer", open: treating((*exchange).hang), fate: fateFailing, rest: restPaused},
	{name: "hangs in the answer's body", open: treating(func(x *exchange) {
		_ = x.write(longAnswer)
		x.hang()
	}), fate: fateDelivered, rest: restNever},
	{name: "streams without end", open: treating((*exchange).stream), fate: fateDelivered, rest: restNever},
	{name: "closes in the answer's header", open: treating(func(x *exchange) {
		_ = x.write("HTTP/1.1 200 OK\r\nContent-Le")
		_ = x.conn.Close()
	}), fate: fateFailing, rest: restPaused},
	{name: "closes in the answer's body", open: treating(func(x *exchange) {
		_ = x.write(longAnswer)
		_ = x.conn.Close()
	}), fate: fateDelivered, rest: restNever},
	{name: "answers slowly", open: treating(func(x *exchange) {
		time.Sleep(slowness)
		_ = x.write(okAnswer)
	}), fate: fateDelivered, rest: restNever},
	{name: "redirects", open: redirecting, fate: fateDead, rest: restNever},
	{name: "is not in DNS", open: denied, fate: fateWaiting, rest: restPaused, lasting: true},
	{name: "429, a date past", open: tooMany("Sun, 06 Nov 1994 08:49:37 GMT"), fate: fateWaiting, rest: restNever},
	{name: "429, a date far ahead", open: tooMany("Fri, 01 Jan 2100 00:00:00 GMT"), fate: fateWaiting, rest: restPaused, lasting: true},
	{name: "flaps", open: flap, fate: fateDelivered, rest: restEither, more: strings.Repeat(" 500ms", 9)},
	{name: "400 to one event", open: treating(func(x *exchange) {
		if x.first {
			_ = x.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
			return
		}
		_ = x.write(okAnswer)
	}), fate: fateOneDead, rest: restNever},
}

// denied is an upstream at a name that is not in DNS.
func denied(ctx context.Context) (*badUpstream, error) {
	u := newBadUpstream(ctx, nil)
	u.url = unknownHost
	return u, nil
}

// redirecting sends every request to another path of its own.
func redirecting(ctx context.Context) (*badUpstream, error) {
	return answering("HTTP/1.1 307 Temporary Redirect\r\nLocation: " + elsewhere + "\r\nContent-Length: 0\r\n\r\n")(ctx)
}

// flap is an upstream that is up and down by turns.
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

// wrong says what is not as it has to be with an upstream of this kind for which
// n events were accepted; nil if nothing is.
func (k badKind) wrong(u upstreamStatus, n int, everPaused bool) error {
	var ok bool
	switch k.fate {
	case fateDelivered:
		ok = u.Pending == 0 && u.Dead == 0
	case fateWaiting:
		ok = u.Pending == n && u.Dead == 0
	case fateFailing:
		ok = u.Pending+u.Dead == n
	case fateDead:
		ok = u.Pending == 0 && u.Dead == n
	case fateOneDead:
		ok = u.Pending == 0 && u.Dead == 1
	}
	if !ok {
		return fmt.Errorf("%d events are pending and %d dead of %d, which should be %s", u.Pending, u.Dead, n, k.fate)
	}
	if k.rest == restPaused && !u.Paused {
		return errors.New("it should be paused and is not")
	}
	if k.rest == restNever && everPaused {
		return errors.New("it was paused and should not have been")
	}
	return nil
}
