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

// A ledger is the backends of a rig. It notes what each of them took, and stays
// when the gateway is killed.
type ledger struct {
	mu       sync.Mutex
	backends []*backend
	watches  []*watch
}

func newLedger() *ledger { return new(ledger) }

// A backend is what is behind one upstream.
type backend struct {
	name string

	ledger  *ledger
	address string
	server  *http.Server // nil while it is away

	// All of these are under the ledger's lock.
	manner   manner
	attempts map[string]int // by event, while the manner refuses first ones
	taken    map[string]int // how often each event was taken
	count    int            // deliveries taken, an event's second one too
	refused  int            // attempts that were refused
}

// A manner is how a backend treats what it is sent. The zero value takes all of
// it at once.
type manner struct {
	refuseFirst int           // refuse so many attempts at each event
	status      int           // what refusals answer; default 409, which pauses nothing
	refuseAll   bool          // refuse everything
	delay       time.Duration // before each answer
}

// add starts a backend on a free port.
func (l *ledger) add(ctx context.Context, name string) (*backend, error) {
	b := &backend{name: name, ledger: l, attempts: make(map[string]int), taken: make(map[string]int)}
	if err := b.come(ctx); err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.backends = append(l.backends, b)
	return b, nil
}

// backend returns the one of that name, or nil.
func (l *ledger) backend(name string) *backend {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := slices.IndexFunc(l.backends, func(b *backend) bool { return b.name == name })
	if i < 0 {
		return nil
	}
	return l.backends[i]
}

// names are those of the backends, in the order in which they were added.
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
		l.backend(name).leave()
	}
}

// url is the upstream's, for a Caddyfile.
func (b *backend) url() string { return "http://" + b.address + "/events" }

// behave changes how the backend treats what comes from now on.
func (b *backend) behave(m manner) {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	b.manner = m
}

// leave ends the backend: connections are cut and refused until it comes back.
func (b *backend) leave() {
	b.ledger.mu.Lock()
	server := b.server
	b.server = nil
	b.ledger.mu.Unlock()
	if server != nil {
		_ = server.Close() // it was to end anyway
	}
}

// come starts the backend, again at the address that it had.
func (b *backend) come(ctx context.Context) error {
	if b.address == "" {
		ports, err := stage.Ports(ctx, 1) // which are still free when it comes back
		if err != nil {
			return err
		}
		b.address = net.JoinHostPort("127.0.0.1", ports[0])
	}
	var listener net.Listener
	if err := eventually(ctx, "its address", func() (_ bool, err error) {
		listener, err = (&net.ListenConfig{}).Listen(ctx, "tcp", b.address)
		if errors.Is(err, syscall.EADDRINUSE) { // by a process that is being started, which has a copy of the last listener for a moment
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
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return // the gateway was killed while it sent
	}
	b.ledger.mu.Lock()
	delay := b.manner.delay
	b.ledger.mu.Unlock()
	if delay > 0 {
		select {
		case <-time.After(delay):
		case <-r.Context().Done():
			return
		}
	}
	w.WriteHeader(b.note(r.Header.Get("Webhook-Id"), time.Now()))
}

// note enters an attempt and returns what to answer.
func (b *backend) note(id string, now time.Time) int {
	l := b.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	refuse := b.manner.refuseAll
	if b.manner.refuseFirst > 0 && b.taken[id] == 0 {
		b.attempts[id]++
		refuse = refuse || b.attempts[id] <= b.manner.refuseFirst
	}
	if refuse {
		b.refused++
		if b.manner.status == 0 {
			return http.StatusConflict
		}
		return b.manner.status
	}
	delete(b.attempts, id)
	b.taken[id]++
	b.count++
	for _, w := range l.watches {
		w.note(b.name, id, now)
	}
	return http.StatusNoContent
}

// events is how many events the backend has taken, each counted once.
func (b *backend) events() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return len(b.taken)
}

// deliveries is how many deliveries the backend has taken.
func (b *backend) deliveries() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.count
}

// refusals is how many attempts the backend has refused.
func (b *backend) refusals() int {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.refused
}

// has reports whether the backend has taken an event.
func (b *backend) has(id string) bool {
	b.ledger.mu.Lock()
	defer b.ledger.mu.Unlock()
	return b.taken[id] > 0
}
