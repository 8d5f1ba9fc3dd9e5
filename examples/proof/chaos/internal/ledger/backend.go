package ledger

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
)

// A Backend is the backend of one upstream.
type Backend struct {
	Name    string
	Address string // host and port

	// Received, which may be nil, is called with each delivery. It must not change after the start of the gateway.
	Received func(id string, body []byte)

	ledger *Ledger
	server *http.Server // nil while the backend is stopped

	// The ledger's mutex protects the following fields.
	behavior Behavior
	attempts map[string]int // number of attempts by event, for RejectFirst
	accepted map[string]int // number of accepted deliveries by event
	count    int            // number of accepted deliveries, including repeated ones
	rejected int            // number of rejected attempts
}

// A Behavior says how a backend answers deliveries. The zero value accepts all at once.
type Behavior struct {
	RejectFirst int           // number of attempts to reject for each event
	Status      int           // status of rejections; default 409, which does not pause the upstream
	RejectAll   bool          // reject all deliveries
	Delay       time.Duration // before each answer
}

// URL returns the URL of the upstream.
func (b *Backend) URL() string { return "http://" + b.Address + "/events" }

// Behave changes how the backend answers from now on.
func (b *Backend) Behave(m Behavior) {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	b.behavior = m
}

// Stop stops the backend: it closes its connections, and refuses new ones.
func (b *Backend) Stop() {
	b.ledger.mu.Lock()
	server := b.server
	b.server = nil
	b.ledger.mu.Unlock()
	if server != nil {
		_ = server.Close() // an error would not matter
	}
}

// Start starts the backend, at the same address as before.
func (b *Backend) Start(ctx context.Context) error {
	if b.Address == "" {
		ports, err := stage.Ports(ctx, 1) // also free after a restart of the backend
		if err != nil {
			return err
		}
		b.Address = net.JoinHostPort("127.0.0.1", ports[0])
	}
	var listener net.Listener
	if err := await.Eventually(ctx, "a free address", func() (_ bool, err error) {
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", b.Address)
		if errors.Is(err, syscall.EADDRINUSE) { // a process that is starting has a copy of the last listener for a moment
			return false, nil
		}
		return err == nil, err
	}); err != nil {
		return fmt.Errorf("starting the backend %s at %s: %w", b.Name, b.Address, err)
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	b.ledger.mu.Lock()
	b.Address, b.server = listener.Addr().String(), server
	b.ledger.mu.Unlock()
	go func() { _ = server.Serve(listener) }() // it ends with Stop
	return nil
}

// ServeHTTP implements http.Handler.
func (b *Backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := b.read(r); err != nil {
		return // the gateway was killed while it was sending
	}
	b.ledger.mu.Lock()
	delay := b.behavior.Delay
	b.ledger.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	w.WriteHeader(b.record(r.Header.Get("Webhook-Id"), time.Now()))
}

// read reads a delivery.
func (b *Backend) read(r *http.Request) error {
	if b.Received == nil {
		_, err := io.Copy(io.Discard, r.Body)
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		b.Received(r.Header.Get("Webhook-Id"), body)
	}
	return err
}

// record counts an attempt and returns the status of the answer.
func (b *Backend) record(id string, now time.Time) int {
	l := b.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	reject := b.behavior.RejectAll
	if b.behavior.RejectFirst > 0 && b.accepted[id] == 0 {
		b.attempts[id]++
		reject = reject || b.attempts[id] <= b.behavior.RejectFirst
	}
	if reject {
		b.rejected++
		if b.behavior.Status == 0 {
			return http.StatusConflict
		}
		return b.behavior.Status
	}
	delete(b.attempts, id)
	b.accepted[id]++
	b.count++
	for _, w := range l.watches {
		w.record(b.Name, id, now)
	}
	return http.StatusNoContent
}

// Events returns the number of events that the backend has accepted.
func (b *Backend) Events() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return len(b.accepted)
}

// Deliveries returns the number of deliveries that the backend has accepted.
func (b *Backend) Deliveries() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.count
}

// Rejections returns the number of attempts that the backend has rejected.
func (b *Backend) Rejections() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.rejected
}

// Has reports whether the backend has accepted an event.
func (b *Backend) Has(id string) bool {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.accepted[id] > 0
}
