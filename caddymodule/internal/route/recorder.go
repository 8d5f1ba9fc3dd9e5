package route

import (
	"net/http"
	"sync"

	"github.com/scribegate/scribegate/forwarder"
)

// maxAnswerBody is the number of bytes of an answer's body after which the route is ended.
// reverse_proxy reads up to 32 KiB at a time, so that it has read no more than 64 KiB then.
const maxAnswerBody = 32 << 10

// A recorder keeps a route's final status and drops the rest of the answer. The status is 0
// until there is one: a route that answers nothing must not look like one that answered 200.
type recorder struct {
	final chan struct{} // closed once the final status is known

	mu      sync.Mutex // reverse_proxy calls Flush in another goroutine
	header  http.Header
	got     forwarder.Answer
	written int
}

func newRecorder() *recorder {
	return &recorder{final: make(chan struct{}), header: make(http.Header)}
}

// Header implements http.ResponseWriter.
func (r *recorder) Header() http.Header { return r.header }

// WriteHeader implements http.ResponseWriter. Interim answers are not final.
func (r *recorder) WriteHeader(status int) {
	if status < 200 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.got.Status != 0 {
		return
	}
	r.got = forwarder.Answer{Status: status, RetryAfter: r.header.Get("Retry-After")}
	close(r.final)
}

// Write implements http.ResponseWriter. After maxAnswerBody bytes it panics with the one value
// for which reverse_proxy logs no line: the line would have the request's URI and headers.
func (r *recorder) Write(p []byte) (int, error) {
	r.WriteHeader(http.StatusOK)
	r.mu.Lock()
	r.written += len(p)
	over := r.written >= maxAnswerBody
	r.mu.Unlock()
	if over {
		panic(http.ErrAbortHandler)
	}
	return len(p), nil
}

// Flush implements http.Flusher.
func (r *recorder) Flush() { r.WriteHeader(http.StatusOK) }

// answer returns the final status, or 0 if there is none yet.
func (r *recorder) answer() forwarder.Answer {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.got
}

// Interface guards
var (
	_ http.ResponseWriter = (*recorder)(nil)
	_ http.Flusher        = (*recorder)(nil)
)
