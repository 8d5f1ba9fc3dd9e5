package ledger

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"
)

// A Proxy is a proxy in front of a backend. It records when each event arrived first, and whether two deliveries of one
// event were ever in progress at once, which would mean that there are two dispatchers.
type Proxy struct {
	Backend *Backend
	Address string
	server  *http.Server

	mu       sync.Mutex
	came     map[string]time.Time
	underWay map[string]int
	overlaps int
}

// NewProxy starts a proxy. The caller must close it.
func NewProxy(ctx context.Context, b *Backend) (*Proxy, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("starting the proxy of the backend %s: %w", b.Name, err)
	}
	w := &Proxy{
		Backend: b, Address: listener.Addr().String(),
		came: make(map[string]time.Time), underWay: make(map[string]int),
	}
	w.server = &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = w.server.Serve(listener) }() // it ends with Close
	return w, nil
}

// Insert replaces the backend's URL in a Caddyfile with the proxy's.
func (w *Proxy) Insert(caddyfile string) string {
	return strings.ReplaceAll(caddyfile, w.Backend.URL(), "http://"+w.Address+"/events")
}

// ServeHTTP implements http.Handler.
func (w *Proxy) ServeHTTP(out http.ResponseWriter, r *http.Request) {
	id := r.Header.Get("Webhook-Id")
	w.enter(id, time.Now())
	defer w.finish(id)
	w.Backend.ServeHTTP(out, r)
}

func (w *Proxy) enter(id string, now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if _, ok := w.came[id]; !ok {
		w.came[id] = now
	}
	if w.underWay[id]++; w.underWay[id] > 1 {
		w.overlaps++
	}
}

func (w *Proxy) finish(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.underWay[id]--; w.underWay[id] == 0 {
		delete(w.underWay, id)
	}
}

// CameAt returns when an event arrived first, and whether it has arrived.
func (w *Proxy) CameAt(id string) (time.Time, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	at, ok := w.came[id]
	return at, ok
}

// Overlapping returns the number of deliveries that started while another one of the same event was in progress.
func (w *Proxy) Overlapping() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.overlaps
}

// Close stops the proxy.
func (w *Proxy) Close() {
	_ = w.server.Close() // an error would not matter
}
