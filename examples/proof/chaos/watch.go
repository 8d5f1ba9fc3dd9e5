package main

import "time"

// A watch reports when events that wait are delivered at last.
type watch struct {
	ledger  *ledger
	waiting map[delivery]struct{}
	number  int            // how many waited
	first   chan time.Time // receives when the first of them was delivered
	last    chan time.Time // receives when all of them were
}

// A delivery is an event at an upstream.
type delivery struct{ upstream, id string }

// watch begins to watch for the acknowledged events that have not been
// delivered yet. The caller must end it.
func (l *ledger) watch(b *book) *watch {
	acknowledged := b.snapshot()
	l.mu.Lock()
	defer l.mu.Unlock()
	w := &watch{ledger: l, waiting: make(map[delivery]struct{}), first: make(chan time.Time, 1), last: make(chan time.Time, 1)}
	for id, upstreams := range acknowledged {
		for _, backend := range l.backends {
			if isFor(upstreams, backend.name) && backend.taken[id] == 0 {
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

// note takes in a delivery. The ledger is locked.
func (w *watch) note(upstream, id string, now time.Time) {
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

// left is how many still wait.
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
