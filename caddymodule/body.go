package caddymodule

import (
	"errors"
	"io"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"github.com/scribegate/scribegate/verifier"
)

const (
	// maxMaxBody is the most that max_body can be: while it is copied from a
	// smaller buffer into its last one, a body of this size holds half as much
	// again, so that two of them always fit into the budget's common part.
	maxMaxBody = 32 << 20

	// firstRead is how much room a body gets to begin with. More is taken
	// only as it arrives, whatever the declared size.
	firstRead = 16 << 10
)

// checkEnvelope judges what needs neither headers of the provider nor a body.
func checkEnvelope(r *http.Request, maxBody int64) error {
	switch {
	case r.Method != http.MethodPost:
		return &verifier.Rejection{Reason: verifier.Method}
	case encoded(r.Header["Content-Encoding"]):
		return &verifier.Rejection{Reason: verifier.Encoding}
	case r.ContentLength > maxBody:
		return &verifier.Rejection{Reason: verifier.TooLarge}
	}
	return nil
}

// encoded reports whether the values of Content-Encoding, each a list of codings,
// name any but identity. Empty elements of a list count for nothing.
func encoded(values []string) bool {
	for _, list := range values {
		for coding := range strings.SplitSeq(list, ",") {
			coding = textproto.TrimString(coding)
			if coding != "" && !strings.EqualFold(coding, "identity") {
				return true
			}
		}
	}
	return false
}

// limitReading gives the body its deadline. It comes before the first possible
// rejection, since Go's server may read the rest of the body before it sends an
// answer.
func limitReading(w http.ResponseWriter, until time.Time) {
	// A server that can't set deadlines has limits of its own.
	_ = http.NewResponseController(w).SetReadDeadline(until)
}

// stopLimitingReading lifts the deadline once the body is there: storing, or the
// next handler, has a time of its own.
func stopLimitingReading(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// An incoming body is that of a request which is not proved genuine yet. It
// notes whether it was read to its end.
type incoming struct {
	request   *http.Request
	ended     bool
	allowance allowance
	beyond    [1]byte // for what comes behind all that may come
}

// newIncoming returns the body of a request. It must be released.
func newIncoming(r *http.Request, b *budget) *incoming {
	return &incoming{
		request:   r,
		ended:     r.ContentLength == 0 && r.ProtoMajor == 1, // there is none
		allowance: allowance{budget: b},
	}
}

// Read implements io.Reader.
func (b *incoming) Read(p []byte) (int, error) {
	n, err := b.request.Body.Read(p)
	if err == io.EOF { // an error that wraps it is not the end of a body
		b.ended = true
	}
	return n, err
}

// readAll returns the body, of at most maxBody bytes, once it has arrived whole.
// It takes room in the budget as the body arrives, and waits for room until the
// given time.
func (b *incoming) readAll(until time.Time, maxBody int64) ([]byte, error) {
	want, longer := b.request.ContentLength, verifier.Incomplete
	declared := want >= 0
	if !declared {
		want, longer = maxBody, verifier.TooLarge
	}
	var body []byte
	more := 0 // how many bytes have come beyond the buffer
	for size := min(want, firstRead); ; size = min(2*size, want) {
		room, err := b.allowance.grow(b.request.Context(), until, roomRequest{
			size: size, whole: want, small: size <= smallBody && (!declared || want <= smallBody),
		})
		if err != nil {
			return nil, &verifier.Rejection{Reason: verifier.Unavailable}
		}
		bigger := make([]byte, len(body), room)
		copy(bigger, body)
		body = append(bigger, b.beyond[:more]...)
		b.allowance.settle()
		if body, err = b.fill(body); err != nil {
			return nil, bodyError(err)
		}
		if more, err = b.lookBeyond(); err != nil {
			return nil, bodyError(err)
		}
		if more == 0 {
			break
		}
		if room == want {
			return nil, &verifier.Rejection{Reason: longer}
		}
	}
	// HTTP/3 does not see that a body ended too early.
	if declared && int64(len(body)) != want {
		return nil, &verifier.Rejection{Reason: verifier.Incomplete}
	}
	return body, nil
}

// fill reads until a buffer is full or the body ends.
func (b *incoming) fill(buf []byte) ([]byte, error) {
	for len(buf) < cap(buf) && !b.ended {
		n, err := b.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil && !b.ended {
			return buf, err
		}
	}
	return buf, nil
}

// lookBeyond waits for one byte more than the buffer holds, and returns 0 at the
// body's end: a body takes no room before it has outgrown what it has.
func (b *incoming) lookBeyond() (n int, err error) {
	for n == 0 && !b.ended {
		if n, err = b.Read(b.beyond[:]); err != nil && !b.ended {
			return n, err
		}
	}
	return n, nil
}

// bodyError returns the rejection for a failed read. A body that Caddy's
// request_body cuts off is too large; after any other error it is incomplete.
func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &verifier.Rejection{Reason: verifier.TooLarge}
	}
	return &verifier.Rejection{Reason: verifier.Incomplete}
}

// discard reads the body away before a 401, so that the answer is the same, on
// the same connection, whatever the request was rejected for.
func (b *incoming) discard(maxBody int64) {
	_, _ = io.Copy(io.Discard, io.LimitReader(b, maxBody+1))
}

// closeUnlessRead has the answer close an HTTP/1 connection on which a part of
// the body was left unread, so that the rest is never read as the next request.
// Go's server does not see to that: Caddy puts a reader of its own in place of
// the body, and may have enabled full duplex.
func (b *incoming) closeUnlessRead(w http.ResponseWriter) {
	if !b.ended && b.request.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// closes reports whether the answer is to close an HTTP/1 connection.
func closes(w http.ResponseWriter, r *http.Request) bool {
	return r.ProtoMajor == 1 && w.Header().Get("Connection") == "close"
}

// linger reads away what still comes of a body behind an answer that closes the
// connection: closed with bytes unread, it would be reset, and a client that
// still sends might lose the answer. Where the site has changed the answer's
// header, so that it does not close the connection, and the body has not ended,
// linger cuts the connection off.
func linger(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil && !closes(w, r) {
		panic(http.ErrAbortHandler)
	}
}
