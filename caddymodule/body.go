package caddymodule

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/scribegate/scribegate/verifier"
)

// bodyTimeout is how long a body may take to arrive whole.
var bodyTimeout = 10 * time.Second

const (
	// unverifiedBudget is how many bytes of bodies that are not yet proved
	// genuine this process holds at most: whoever has no secret can't make it
	// run out of memory.
	unverifiedBudget = 256 << 20

	// maxMaxBody is the most that max_body can be: a body that grows is for a
	// moment held twice, so that a larger one might never find room.
	maxMaxBody = unverifiedBudget / 2

	// firstRead is how much room a body gets to begin with. More is taken
	// only as it arrives, whatever the declared size.
	firstRead = 16 << 10
)

// unverified counts those bytes.
var unverified = semaphore.NewWeighted(unverifiedBudget)

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

// stopLimitingReading lifts the deadline once the body is there: it would end
// the request's context while the event is being stored.
func stopLimitingReading(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// readBody reads a body that is not proved genuine yet, within the budget for
// such bodies; release gives its part of the budget back.
func readBody(r *http.Request, maxBody int64) (body []byte, release func(), err error) {
	var held int64
	budget := unverified
	release = func() { budget.Release(held) }
	ctx, cancel := context.WithTimeout(r.Context(), storeTimeout)
	defer cancel()
	grow := func(n int64) error {
		if budget.Acquire(ctx, n) != nil {
			return &verifier.Rejection{Reason: verifier.Unavailable}
		}
		held += n
		return nil
	}

	want := maxBody
	if r.ContentLength >= 0 {
		want = r.ContentLength
	}
	// One byte more than wanted shows the end, or that there is none.
	room := min(want+1, firstRead)
	if err := grow(room); err != nil {
		return nil, release, err
	}
	body = make([]byte, 0, room)
	for {
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if int64(len(body)) > want {
			return nil, release, errBodyTooLarge
		}
		if errors.Is(err, io.EOF) {
			return body, release, nil
		}
		if err != nil {
			return nil, release, bodyError(err)
		}
		if len(body) < cap(body) {
			continue
		}
		old := int64(cap(body))
		next := 2 * old
		if next >= want {
			next = want + 1
		}
		if err := grow(next); err != nil {
			return nil, release, err
		}
		bigger := make([]byte, len(body), next)
		copy(bigger, body)
		body = bigger
		budget.Release(old)
		held -= old
	}
}

// bodyError tells what a failed read means. A body that request_body cuts off
// is too large; whatever else goes wrong, it did not arrive whole.
func bodyError(err error) error {
	var tooLarge *http.MaxBytesError
	if errors.As(err, &tooLarge) {
		return errBodyTooLarge
	}
	return &verifier.Rejection{Reason: verifier.Incomplete}
}

// discard reads a body away before a 401, so that the answer is the same, on
// the same connection, whatever the request was refused for.
func discard(body io.Reader, maxBody int64) {
	_, _ = io.Copy(io.Discard, io.LimitReader(body, maxBody))
}
