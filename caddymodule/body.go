package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

// bodyTimeout is how long a body may take to arrive whole.
var bodyTimeout = 10 * time.Second

const (
	// maxMaxBody is the most that max_body can be: a body that grows is for a
	// moment held twice, so that a larger one might never find room.
	maxMaxBody = unverifiedBudget / 2

	// firstRead is how much room a body gets to begin with. More is taken
	// only as it arrives, whatever the declared size.
	firstRead = 16 << 10
)

// errBodyTooLarge says that a body of unknown length went over the limit.
var errBodyTooLarge = &verifier.Rejection{Reason: verifier.TooLarge}

// checkEnvelope judges what needs neither headers of the provider nor a body.
func checkEnvelope(r *http.Request, maxBody int64) error {
	if r.Method != http.MethodPost {
		return &verifier.Rejection{Reason: verifier.Method}
	}
	for _, coding := range r.Header["Content-Encoding"] {
		if !strings.EqualFold(coding, "identity") {
			return &verifier.Rejection{Reason: verifier.Encoding}
		}
	}
	if r.ContentLength > maxBody {
		return errBodyTooLarge
	}
	return nil
}

// limitReading gives the body its deadline. It comes before the first possible
// rejection, since Go's server holds an early answer back until it has read the
// rest of the body or given it up.
func limitReading(w http.ResponseWriter, start time.Time) {
	// A server that can't set deadlines has limits of its own.
	_ = http.NewResponseController(w).SetReadDeadline(start.Add(bodyTimeout))
}

// stopLimitingReading lifts the deadline once the body is there: storing, or the
// next handler, has a time of its own.
func stopLimitingReading(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// answerAtOnce has the answer go out although the body is not read. Go's server
// would first wait for the body, and a client that waits to be told to send it
// ("Expect: 100-continue") would wait as well, until the deadline.
func answerAtOnce(w http.ResponseWriter, r *http.Request) {
	if r.ProtoMajor != 1 || r.Header.Get("Expect") == "" {
		return
	}
	if http.NewResponseController(w).EnableFullDuplex() == nil {
		w.Header().Set("Connection", "close")
	}
}

// readBody reads a body that is not proved genuine yet, within the budget for
// such bodies; release gives its part of the budget back.
func readBody(r *http.Request, maxBody int64) (body []byte, release func(), err error) {
	allowed := &allowance{budget: unverified}
	patience := time.Now().Add(storeTimeout)
	want := maxBody
	if r.ContentLength >= 0 {
		want = r.ContentLength
	}
	// One byte more than wanted shows the end, or that there is none.
	next := min(want+1, firstRead)
	for {
		room := next
		if !allowed.takeNow(next) {
			if room, err = waitForRoom(r.Context(), allowed, patience, next, want+1); err != nil {
				return nil, allowed.release, &verifier.Rejection{Reason: verifier.Unavailable}
			}
		}
		old := int64(cap(body))
		bigger := make([]byte, len(body), room)
		copy(bigger, body)
		body = bigger
		allowed.give(old)

		whole, err := fill(r.Body, &body)
		switch {
		case int64(len(body)) > want:
			return nil, allowed.release, errBodyTooLarge
		case err != nil:
			return nil, allowed.release, bodyError(err)
		case whole:
			return body, allowed.release, nil
		}
		if next = 2 * int64(cap(body)); next >= want {
			next = want + 1
		}
	}
}

// waitForRoom is take with a time until which it waits at most. Few bodies ever
// wait, and to the others a context of their own would cost more than their room.
func waitForRoom(ctx context.Context, a *allowance, patience time.Time, n, whole int64) (int64, error) {
	ctx, cancel := context.WithDeadline(ctx, patience)
	defer cancel()
	return a.take(ctx, n, whole)
}

// fill reads until a body's room is full, or returns whole at its end.
func fill(from io.Reader, body *[]byte) (whole bool, err error) {
	b := *body
	for len(b) < cap(b) && err == nil {
		var n int
		n, err = from.Read(b[len(b):cap(b)])
		b = b[:len(b)+n]
	}
	*body = b
	if errors.Is(err, io.EOF) {
		return true, nil
	}
	return false, err
}

// bodyError tells what a failed read means. A body that request_body cuts off
// is too large; whatever else goes wrong, it did not arrive whole.
func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return errBodyTooLarge
	}
	return &verifier.Rejection{Reason: verifier.Incomplete}
}

// discard reads a body away before a 401, so that the answer is the same, on
// the same connection, whatever the request was refused for.
func discard(body io.Reader, maxBody int64) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxBody))
}
