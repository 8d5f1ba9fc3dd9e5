package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"
)

// A backend is the backend of the upstream ehr. It can be away, and counts what it accepts.
type backend struct {
	address string
	server  *http.Server // nil while it is away

	mu         sync.Mutex
	accepted   map[string]int // by webhook-id
	signatures int            // of the last request
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

// ServeHTTP implements http.Handler.
func (b *backend) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.accepted[r.Header.Get("webhook-id")]++
	b.signatures = len(strings.Fields(r.Header.Get("webhook-signature")))
}

// missing returns the ids of events that the backend has not accepted this many times.
func (b *backend) missing(ids []string, times int) []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(ids), func(id string) bool { return b.accepted[id] == times })
}

// check returns an error unless the backend has accepted each event this many times.
func (b *backend) check(ids []string, times int) error {
	if missing := b.missing(ids, times); len(ids) == 0 || len(missing) > 0 {
		return fmt.Errorf("of %d events the backend did not accept %v %d times", len(ids), missing, times)
	}
	return nil
}

// Interface guards
var _ http.Handler = (*backend)(nil)
