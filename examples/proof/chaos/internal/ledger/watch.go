package ledger

import (
	"context"
	"fmt"
	"time"
)

// A Watch waits for the deliveries of waiting events.
type Watch struct {
	ledger  *Ledger
	waiting map[delivery]struct{}
	Number  int            // number of waiting deliveries at the start
	First   chan time.Time // receives the time of the first of them
	last    chan time.Time // receives the time of the last of them
}

// A delivery is an event for an upstream.
type delivery struct{ upstream, id string }

// Watch returns a watch for the deliveries of acknowledged events that are still missing. The caller must
// end it.
func (l *Ledger) Watch(b *Book) *Watch {
	acknowledged := b.Snapshot()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &Watch{ledger: l, waiting: make(map[delivery]struct{}), First: make(chan time.Time, 1), last: make(chan time.Time, 1)}
	for id, upstreams := range acknowledged {
		for _, backend := range l.backends {
			if isFor(upstreams, backend.Name) && backend.accepted[id] == 0 {
				w.waiting[delivery{backend.Name, id}] = struct{}{}
			}
		}
	}
	w.Number = len(w.waiting)
	if w.Number > 0 {
		l.watches = append(l.watches, w)
	}
	return w
}

// record counts a delivery. The caller holds the ledger's mutex.
func (w *Watch) record(upstream, id string, now time.Time) {
	d := delivery{upstream, id}
	if _, ok := w.waiting[d]; !ok {
		return
	}
	if len(w.waiting) == w.Number {
		w.First <- now
	}
	delete(w.waiting, d)
	if len(w.waiting) == 0 {
		w.last <- now
	}
}

// Left returns the number of missing deliveries.
func (w *Watch) Left() int {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	return len(w.waiting)
}

// End ends the watch.
func (w *Watch) End() {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	for i, other := range w.ledger.watches {
		if other == w {
			w.ledger.watches = append(w.ledger.watches[:i:i], w.ledger.watches[i+1:]...)
			return
		}
	}
}

// Wait waits until no delivery is missing, or until none came for the time limit.
func (w *Watch) Wait(ctx context.Context, limit time.Duration, ended <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	left, since := w.Left(), time.Now()
	for {
		select {
		case <-w.last:
			return nil
		case <-ended:
			return fmt.Errorf("waiting for the deliveries: the gateway ended, and %d are missing", w.Left())
		case <-ctx.Done():
			return fmt.Errorf("waiting for the deliveries: %w; %d are missing", context.Cause(ctx), w.Left())
		case now := <-tick.C:
			if n := w.Left(); n != left {
				left, since = n, now
			}
			if now.Sub(since) > limit {
				return nil // the caller counts missing events as lost
			}
		}
	}
}
