package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// A ledger has the backends of a rig. It records the events that each of them has accepted, also
// while the gateway restarts.
type ledger struct {
	mu       sync.Mutex
	backends []*backend
	watches  []*watch
}

func newLedger() *ledger { return new(ledger) }

// A backend is the backend of one upstream.
type backend struct {
	name string

	// received, which may be nil, is called with each delivery. It must not change after the start of the gateway.
	received func(id string, body []byte)

	ledger  *ledger
	address string
	server  *http.Server // nil while the backend is stopped

	// The ledger's mutex protects the following fields.
	behavior behavior
	attempts map[string]int // number of attempts by event, for rejectFirst
	accepted map[string]int // number of accepted deliveries by event
	count    int            // number of accepted deliveries, including repeated ones
	rejected int            // number of rejected attempts
}

// A behavior says how a backend answers deliveries. The zero value accepts all at once.
type behavior struct {
	rejectFirst int           // number of attempts to reject for each event
	status      int           // status of rejections; default 409, which does not pause the upstream
	rejectAll   bool          // reject all deliveries
	delay       time.Duration // before each answer
}

// add starts a backend on a free port.
func (l *ledger) add(ctx context.Context, name string) (*backend, error) {
	b := &backend{name: name, ledger: l, attempts: make(map[string]int), accepted: make(map[string]int)}
	if err := b.start(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backends = append(l.backends, b)
	return b, nil
}

// backend returns the backend with this name, or nil.
func (l *ledger) backend(name string) *backend {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.backends, func(b *backend) bool { return b.name == name })
	if i < 0 {
		return nil
	}
	return l.backends[i]
}

// names returns the names of the backends, in the order in which they were added.
func (l *ledger) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, len(l.backends))
	for i, b := range l.backends {
		names[i] = b.name
	}
	return names
}

func (l *ledger) close() {
	for _, name := range l.names() {
		l.backend(name).stop()
	}
}

// url returns the URL of the upstream.
func (b *backend) url() string { return "http://" + b.address + "/events" }

// behave changes how the backend answers from now on.
func (b *backend) behave(m behavior) {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	b.behavior = m
}

// stop stops the backend: it closes its connections, and refuses new ones.
func (b *backend) stop() {
	b.ledger.mu.Lock()
	server := b.server
	b.server = nil
	b.ledger.mu.Unlock()
	if server != nil {
		_ = server.Close() // an error would not matter
	}
}

// start starts the backend, at the same address as before.
func (b *backend) start(ctx context.Context) error {
	if b.address == "" {
		ports, err := stage.Ports(ctx, 1) // also free after a restart of the backend
		if err != nil {
			return err
		}
		b.address = net.JoinHostPort("127.0.0.1", ports[0])
	}
	var listener net.Listener
	if err := eventually(ctx, "a free address", func() (_ bool, err error) {
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", b.address)
		if errors.Is(err, syscall.EADDRINUSE) { // a process that is starting has a copy of the last listener for a moment
			return false, nil
		}
		return err == nil, err
	}); err != nil {
		return fmt.Errorf("starting the backend %s at %s: %w", b.name, b.address, err)
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 10 * time.Second}
	b.ledger.mu.Lock()
	b.address, b.server = listener.Addr().String(), server
	b.ledger.mu.Unlock()
	go func() { _ = server.Serve(listener) }() // it ends with leave
	return nil
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if err := b.read(r); err != nil {
		return // the gateway was killed while it was sending
	}
	b.ledger.mu.Lock()
	delay := b.behavior.delay
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
func (b *backend) read(r *http.Request) error {
	if b.received == nil {
		_, err := io.Copy(io.Discard, r.Body)
		return err
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		b.received(r.Header.Get("Webhook-Id"), body)
	}
	return err
}

// record counts an attempt and returns the status of the answer.
func (b *backend) record(id string, now time.Time) int {
	l := b.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	reject := b.behavior.rejectAll
	if b.behavior.rejectFirst > 0 && b.accepted[id] == 0 {
		b.attempts[id]++
		reject = reject || b.attempts[id] <= b.behavior.rejectFirst
	}
	if reject {
		b.rejected++
		if b.behavior.status == 0 {
			return http.StatusConflict
		}
		return b.behavior.status
	}
	delete(b.attempts, id)
	b.accepted[id]++
	b.count++
	for _, w := range l.watches {
		w.record(b.name, id, now)
	}
	return http.StatusNoContent
}

// events returns the number of events that the backend has accepted.
func (b *backend) events() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return len(b.accepted)
}

// deliveries returns the number of deliveries that the backend has accepted.
func (b *backend) deliveries() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.count
}

// rejections returns the number of attempts that the backend has rejected.
func (b *backend) rejections() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.rejected
}

// has reports whether the backend has accepted an event.
func (b *backend) has(id string) bool {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.accepted[id] > 0
}
