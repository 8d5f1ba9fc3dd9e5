package caddymodule

import (
	"net/http"
	"sync"

	"github.com/scribegate/scribegate/forwarder"
)

// maxAnswerBody is how much of an answer's body a route may pass on.
// reverse_proxy reads up to 32 KiB at a time, so that it has read no more than
// 64 KiB when it is stopped.
const maxAnswerBody = 32 << 10

// A recorder notes a route's final status and throws the rest away. Its status
// is 0 until there is one: a route that answers nothing must not look like one
// that answered 200.
type recorder struct {
	final chan struct{} // closed once the final status is known

	mu      sync.Mutex // reverse_proxy flushes from a goroutine of its own
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

// Write implements http.ResponseWriter. Past maxAnswerBody it ends the handler
// in the one way that reverse_proxy takes without a line in the log, which would
// hold the request's URI and headers.
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

// Answer returns the final status, or 0 where there is none yet.
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
