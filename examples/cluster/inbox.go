package main

import (
	"context"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/examples/backends/go/receive"
)

// work is how long the backend takes for an event.
const work = 20 * time.Millisecond

// An inbox is the backend. It counts the deliveries of each event.
type inbox struct {
	mu       sync.Mutex
	requests map[string]int       // by event
	handled  map[string]time.Time // when an event was handled
}

func newInbox() *inbox {
	return &inbox{requests: make(map[string]int), handled: make(map[string]time.Time)}
}

// handler returns a handler that verifies deliveries and handles each event once.
func (in *inbox) handler(key receive.Key) http.Handler {
	receiver := receive.New(key, io.Discard, func(d receive.Delivery) error {
		in.mu.Lock()
		defer in.mu.Unlock()
		in.handled[d.ID] = time.Now()
		return nil
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		in.mu.Lock()
		in.requests[r.Header.Get("Webhook-Id")]++
		in.mu.Unlock()
		time.Sleep(work)
		receiver.ServeHTTP(w, r)
	})
}

// wait waits until so many events were handled, but no longer than some time.
func (in *inbox) wait(ctx context.Context, events int, limit time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for {
		in.mu.Lock()
		handled := len(in.handled)
		in.mu.Unlock()
		if handled >= events || sleep(ctx, 50*time.Millisecond) != nil {
			return
		}
	}
}

// compare returns the report on a load whose events were handled.
func (in *inbox) compare(l *load) report {
	in.mu.Lock()
	defer in.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	r := report{sent: l.sent, accepted: len(l.answers), refused: l.refused, slowestAnswer: l.slowest}
	for id, at := range l.received {
		handled, ok := in.handled[id]
		if !ok {
			r.lost++
			continue
		}
		r.delivered++
		r.slowestDelivery = max(r.slowestDelivery, handled.Sub(at))
	}
	for _, n := range in.requests {
		r.again += n - 1
	}
	slices.SortFunc(l.answers, time.Time.Compare)
	for i := 1; i < len(l.answers); i++ {
		r.pause = max(r.pause, l.answers[i].Sub(l.answers[i-1]))
	}
	return r
}
