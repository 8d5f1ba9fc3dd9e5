package main

import "time"

// A watch waits for the deliveries of waiting events.
type watch struct {
	ledger  *ledger
	waiting map[delivery]struct{}
	number  int            // number of waiting deliveries at the start
	first   chan time.Time // receives the time of the first of them
	last    chan time.Time // receives the time of the last of them
}

// A delivery is an event for an upstream.
type delivery struct{ upstream, id string }

// watch returns a watch for the deliveries of acknowledged events that are still missing. The caller must
// end it.
func (l *ledger) watch(b *book) *watch {
	acknowledged := b.snapshot()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &watch{ledger: l, waiting: make(map[delivery]struct{}), first: make(chan time.Time, 1), last: make(chan time.Time, 1)}
	for id, upstreams := range acknowledged {
		for _, backend := range l.backends {
			if isFor(upstreams, backend.name) && backend.accepted[id] == 0 {
				w.waiting[delivery{backend.name, id}] = struct{}{}
			}
		}
	}
	w.number = len(w.waiting)
	if w.number > 0 {
		l.watches = append(l.watches, w)
	}
	return w
}

// record counts a delivery. The caller holds the ledger's mutex.
func (w *watch) record(upstream, id string, now time.Time) {
	d := delivery{upstream, id}
	if _, ok := w.waiting[d]; !ok {
		return
	}
	if len(w.waiting) == w.number {
		w.first <- now
	}
	delete(w.waiting, d)
	if len(w.waiting) == 0 {
		w.last <- now
	}
}

// left returns the number of missing deliveries.
func (w *watch) left() int {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	return len(w.waiting)
}

// end ends the watch.
func (w *watch) end() {
	w.ledger.mu.Lock()
	defer w.ledger.mu.Unlock()
	for i, other := range w.ledger.watches {
		if other == w {
			w.ledger.watches = append(w.ledger.watches[:i:i], w.ledger.watches[i+1:]...)
			return
		}
	}
}
