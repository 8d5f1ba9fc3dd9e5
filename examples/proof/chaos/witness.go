package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A witness stands before a backend of the ledger. It notes when each event came
// first, and whether two deliveries of one event were ever under way at once, as
// they would be if two dispatchers were at work.
type witness struct {
	backend *backend
	address string
	server  *http.Server

	mu       sync.Mutex
	came     map[string]time.Time
	underWay map[string]int
	overlaps int
}

// newWitness starts a witness. The caller must close it.
func newWitness(ctx context.Context, b *backend) (*witness, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("standing before the backend %s: %w", b.name, err)
	}
	w := &witness{
		backend: b, address: listener.Addr().String(),
		came: make(map[string]time.Time), underWay: make(map[string]int),
	}
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.server.Serve(listener) }() // it ends with close
	return w, nil
}

// stand puts the witness before its backend in a Caddyfile.
func (w *witness) stand(caddyfile string) string {
	return strings.ReplaceAll(caddyfile, w.backend.url(), "http://"+w.address+"/events")
}

// ServeHTTP implements http.Handler.
func (w *witness) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Webhook-Id")
	w.enter(id, time.Now())
	defer w.leave(id)
	w.backend.ServeHTTP(out, r)
}

func (w *witness) enter(id string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.came[id]; !ok {
		w.came[id] = now
	}
	if w.underWay[id]++; w.underWay[id] > 1 {
		w.overlaps++
	}
}

func (w *witness) leave(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.underWay[id]--; w.underWay[id] == 0 {
		delete(w.underWay, id)
	}
}

// cameAt returns when an event came first, and whether it did.
func (w *witness) cameAt(id string) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.came[id]
	return at, ok
}

// overlapping is how often a delivery began while another of the same event was
// under way.
func (w *witness) overlapping() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.overlaps
}

func (w *witness) close() {
	_ = w.server.Close() // it was to end anyway
}
