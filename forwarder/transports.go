package forwarder

import (
	"net/http"
	"sync"
	"time"
)

// maxConnAge is the age of a connection from which on no request is sent on it.
const maxConnAge = 5 * time.Minute

// Transports returns the transport for each request, so that an upstream that has
// moved is found: a probe is sent on a new connection, and no request on one that is
// older than maxConnAge. For this, the whole transport is replaced, since an HTTP/2
// connection would otherwise be used as long as any request is on it. Requests in
// flight on the old transport end normally.
type Transports struct {
	// New returns a transport that has no connections yet.
	New func() *http.Transport

	mu      sync.Mutex
	current *http.Transport
	since   time.Time
	closed  bool
}

// Use returns the transport for a request.
func (t *Transports) Use(probe bool) *http.Transport {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := time.Now()
	if t.current != nil && !probe && now.Sub(t.since) < maxConnAge {
		return t.current
	}
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
	t.current, t.since = t.New(), now
	return t.current
}

// Done closes the idle connections of a transport that has been replaced. Call it when a
// request and its answer have ended; without it, they stay open until they time out.
func (t *Transports) Done(used *http.Transport) {
	t.mu.Lock()
	replaced := t.closed || used != t.current
	t.mu.Unlock()
	if replaced {
		used.CloseIdleConnections()
	}
}

// Close closes the idle connections, now and whenever Done is called.
func (t *Transports) Close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.closed = true
	if t.current != nil {
		t.current.CloseIdleConnections()
	}
}
