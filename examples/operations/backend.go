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

// A backend is the backend of the upstream ehr. It can go down and come back, and answer
// with errors.
type backend struct {
	address string
	server  *http.Server // nil while the backend is down

	mu       sync.Mutex
	failing  map[string]int      // by the event's type: a status that is not 200; "" is every type
	accepted map[string][]string // by the event's id: the attempt of each request that was answered 200
}

// newBackend starts a backend at an address.
func newBackend(ctx context.Context, address string) (*backend, error) {
	b := &backend{address: address, accepted: make(map[string][]string)}
	return b, b.arrive(ctx)
}

// arrive starts to listen, for the first time or again.
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
		_ = b.server.Close() // errors of connections do not matter
		b.server = nil
	}
}

// fail makes the backend answer events of a type with a status; "" is every type.
func (b *backend) fail(status int, eventType string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = map[string]int{eventType: status}
}

// repair makes the backend accept all events again.
func (b *backend) repair() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failing = nil
}

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var event struct{ ID, Type string }
	if err := json.NewDecoder(r.Body).Decode(&event); err != nil {
		w.WriteHeader(http.StatusTeapot) // a bug of this program; the run fails, since nothing is delivered
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, key := range []string{"", event.Type} {
		if status, ok := b.failing[key]; ok {
			w.WriteHeader(status)
			return
		}
	}
	b.accepted[event.ID] = append(b.accepted[event.ID], r.Header.Get("Scribegate-Attempt"))
}

// check returns an error unless the backend has accepted each event exactly once, and with
// this number of the attempt.
func (b *backend) check(ids []string, attempt string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, id := range ids {
		if got := b.accepted[id]; len(got) != 1 || got[0] != attempt {
			return fmt.Errorf("the backend accepted %s with the attempts %q, want once with attempt %s", id, got, attempt)
		}
	}
	return nil
}

// Interface guards
var _ http.Handler = (*backend)(nil)
