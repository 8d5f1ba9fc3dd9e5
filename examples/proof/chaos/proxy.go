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

// A proxy is a proxy in front of a backend. It records when each event arrived first, and whether two deliveries of one
// event were ever in progress at once, which would mean that there are two dispatchers.
type proxy struct {
	backend *backend
	address string
	server  *http.Server

	mu       sync.Mutex
	came     map[string]time.Time
	underWay map[string]int
	overlaps int
}

// newProxy starts a proxy. The caller must close it.
func newProxy(ctx context.Context, b *backend) (*proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the proxy of the backend %s: %w", b.name, err)
	}
	w := &proxy{
		backend: b, address: listener.Addr().String(),
		came: make(map[string]time.Time), underWay: make(map[string]int),
	}
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.server.Serve(listener) }() // it ends with close
	return w, nil
}

// stand replaces the backend's URL in a Caddyfile with the proxy's.
func (w *proxy) insert(caddyfile string) string {
	return strings.ReplaceAll(caddyfile, w.backend.url(), "http://"+w.address+"/events")
}

// ServeHTTP implements http.Handler.
func (w *proxy) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Webhook-Id")
	w.enter(id, time.Now())
	defer w.finish(id)
	w.backend.ServeHTTP(out, r)
}

func (w *proxy) enter(id string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.came[id]; !ok {
		w.came[id] = now
	}
	if w.underWay[id]++; w.underWay[id] > 1 {
		w.overlaps++
	}
}

func (w *proxy) finish(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.underWay[id]--; w.underWay[id] == 0 {
		delete(w.underWay, id)
	}
}

// cameAt returns when an event arrived first, and whether it has arrived.
func (w *proxy) cameAt(id string) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.came[id]
	return at, ok
}

// overlapping returns the number of deliveries that started while another one of the same event was in progress.
func (w *proxy) overlapping() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.overlaps
}

func (w *proxy) close() {
	_ = w.server.Close() // an error would not matter
}
