package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// A backend is what stands behind the upstream ehr: it can go away and come back,
// and answer what it is told to.
type backend struct {
	address string
	server  *http.Server // nil while it is away

	mu     sync.Mutex
	broken map[string]int      // the status by the event's type, where it is not 200; "" is every type
	taken  map[string][]string // by the event's id: the attempt of each request that was answered 200
}

// newBackend starts a backend at a loopback address.
func newBackend(ctx context.Context, address string) (*backend, error) {
	b := &backend{address: address, taken: make(map[string][]string)}
	return b, b.arrive(ctx)
}

// arrive listens, for the first time or again.
func (b *backend) arrive(ctx context.Context) error {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", b.address)
	if err != nil {
		return fmt.Errorf("starting the backend: %w", err)
	}
	server := &http.Server{Handler: b, ReadHeaderTimeout: 5 * time.Second}
	b.server = server
	go func() { _ = server.Serve(listener) }() // it ends with Close
	return nil
}

// leave closes the listener and every connection.
func (b *backend) leave() {
	if b.server != nil {
		_ = b.server.Close() // what is wrong with a connection does not matter
		b.server = nil
	}
}

// breaks has events of a type answered with a status; "" is every type.
func (b *backend) breaks(status int, eventType string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = map[string]int{eventType: status}
}

// mend has everything taken again.
func (b *backend) mend() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = nil
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var event struct{ ID, Type string }
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		w.WriteHeader(http.StatusTeapot) // a mistake of this program's: nothing is delivered, and that is found
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range []string{"", event.Type} {
		if status, ok := b.broken[key]; ok {
			w.WriteHeader(status)
			return
		}
	}
	b.taken[event.ID] = append(b.taken[event.ID], r.Header.Get("Scribegate-Attempt"))
}

// check says which of the events were not taken exactly once, as the attempt of
// that number.
func (b *backend) check(ids []string, attempt string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if got := b.taken[id]; len(got) != 1 || got[0] != attempt {
			return fmt.Errorf("the backend took %s as the attempts %q, not once as attempt %s", id, got, attempt)
		}
	}
	return nil
}

// Interface guards
var _ http.Handler = (*backend)(nil)
