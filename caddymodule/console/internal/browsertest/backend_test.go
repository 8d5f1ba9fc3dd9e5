//go:build examples

package browsertest

import (
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"
)

// A backend is what is behind an upstream. It answers with a status, and can go down and come
// back.
type backend struct {
	address string

	mu       sync.Mutex
	server   *http.Server // nil while the backend is down
	status   int
	accepted map[string]bool // the ids of the events that were answered 200
}

func newBackend(t *testing.T, address string) *backend {
	t.Helper()
	b := &backend{address: address, status: http.StatusOK, accepted: make(map[string]bool)}
	if err := b.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.stop)
	return b
}

// start listens, for the first time or again.
func (b *backend) start() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		return nil
	}
	l, err := net.Listen("tcp", b.address)
	if err != nil {
		return err
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 5 * time.Second}
	b.server = server
	go func() { _ = server.Serve(l) }() // it ends with Close
	return nil
}

// stop closes the listener and every connection.
func (b *backend) stop() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.server != nil {
		_ = b.server.Close() // errors of connections do not matter
		b.server = nil
	}
}

// answer makes the backend answer with a status.
func (b *backend) answer(status int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.status = status
}

// delivered returns the ids of the events that the backend has accepted.
func (b *backend) delivered() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Sorted(maps.Keys(b.accepted))
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	_, _ = io.Copy(io.Discard, r.Body) // a body that ends early is not accepted by its status
	b.mu.Lock()
	defer b.mu.Unlock()
	w.WriteHeader(b.status)
	if b.status == http.StatusOK {
		b.accepted[r.Header.Get("webhook-id")] = true
	}
}

// Interface guards
var _ http.Handler = (*backend)(nil)
