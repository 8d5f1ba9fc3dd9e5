package receive

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
	// MaxBody is the largest value of max_body. While a body of this size is copied
	// into its last buffer, it occupies one and a half times its size. Two such
	// bodies fit into the common part of the budget.
	MaxBody = 32 << 20

	// FirstRead is the size of the first buffer of a body. The body gets larger
	// buffers only as it arrives, whatever its declared size is.
	FirstRead = 16 << 10
)

// Check returns a rejection for a request with a wrong method, an encoding, or a declared
// size above maxBody. It reads neither the body nor the headers of a provider.
func Check(r *http.Request, maxBody int64) error {
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

// encoded reports whether the values of Content-Encoding, each a list of codings, contain
// a coding other than identity. Empty elements are ignored.
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

// SetDeadline sets the time until which the body must have arrived. Call it before the
// first possible rejection, since Go's server may read the rest of the body before it
// sends an answer.
func SetDeadline(w http.ResponseWriter, until time.Time) {
	// A server that cannot set deadlines has limits of its own.
	_ = http.NewResponseController(w).SetReadDeadline(until)
}

// ClearDeadline removes the deadline when the body has arrived. Storing the event, or the
// next handler, has its own time limit.
func ClearDeadline(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{})
}

// A Body is the body of a request that is not yet proved genuine. It records whether the
// body was read to its end.
type Body struct {
	request   *http.Request
	ended     bool
	allowance allowance
	beyond    [1]byte // a byte that does not fit into the buffer
}

// NewBody returns the body of a request. The caller must release it.
func NewBody(r *http.Request, b *Budget) *Body {
	return &Body{
		request:   r,
		ended:     r.ContentLength == 0 && r.ProtoMajor == 1, // there is no body
		allowance: allowance{budget: b},
	}
}

// Release returns the room of the body to the budget.
func (b *Body) Release() { b.allowance.release() }

// Read implements io.Reader.
func (b *Body) Read(p []byte) (int, error) {
	n, err := b.request.Body.Read(p)
	if err == io.EOF { // an error that wraps it is not the end of a body
		b.ended = true
	}
	return n, err
}

// ReadAll returns the body, of at most maxBody bytes, once it has arrived completely. It
// acquires room in the budget as the body arrives, and waits for room until the given
// time.
func (b *Body) ReadAll(until time.Time, maxBody int64) ([]byte, error) {
	want, longer := b.request.ContentLength, verifier.Incomplete
	declared := want >= 0
	if !declared {
		want, longer = maxBody, verifier.TooLarge
	}
	var body []byte
	more := 0 // the number of bytes in b.beyond
	for size := min(want, FirstRead); ; size = min(2*size, want) {
		room, err := b.allowance.grow(b.request.Context(), until, roomRequest{
			size: size, whole: want, small: size <= SmallBody && (!declared || want <= SmallBody),
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
	// HTTP/3 does not notice that a body ended too early.
	if declared && int64(len(body)) != want {
		return nil, &verifier.Rejection{Reason: verifier.Incomplete}
	}
	return body, nil
}

// fill reads until a buffer is full or the body ends.
func (b *Body) fill(buf []byte) ([]byte, error) {
	for len(buf) < cap(buf) && !b.ended {
		n, err := b.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if err != nil && !b.ended {
			return buf, err
		}
	}
	return buf, nil
}

// lookBeyond waits for a byte that does not fit into the buffer, and returns 0 at the end of
// the body. So a body gets a larger buffer only if it needs one.
func (b *Body) lookBeyond() (n int, err error) {
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

// Discard reads and drops the body before an answer 401, so that the answer and the
// connection are the same for all reasons of a rejection.
func (b *Body) Discard(maxBody int64) {
	_, _ = io.Copy(io.Discard, io.LimitReader(b, maxBody+1))
}

// CloseUnlessRead sets the header that closes an HTTP/1 connection if a part of the body
// is unread, so that the rest is never read as the next request. Go's server does not do
// so if the body was replaced by another reader, or if full duplex is enabled.
func (b *Body) CloseUnlessRead(w http.ResponseWriter) {
	if !b.ended && b.request.ProtoMajor == 1 {
		w.Header().Set("Connection", "close")
	}
}

// Closes reports whether the answer closes an HTTP/1 connection.
func Closes(w http.ResponseWriter, r *http.Request) bool {
	return r.ProtoMajor == 1 && w.Header().Get("Connection") == "close"
}

// Drain reads and drops the rest of a body after an answer that closes the connection. If
// the connection were closed with bytes unread, it would be reset, and a client that is
// still sending could lose the answer. If another handler has changed the header, so that
// the answer does not close the connection, and the body has not ended, Drain aborts the
// connection.
func Drain(w http.ResponseWriter, r *http.Request, timeout time.Duration) {
	err := http.NewResponseController(w).SetReadDeadline(time.Now().Add(timeout))
	if err == nil {
		_, err = io.Copy(io.Discard, r.Body)
	}
	if err != nil && !Closes(w, r) {
		panic(http.ErrAbortHandler)
	}
}
