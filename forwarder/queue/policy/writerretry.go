package policy

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// failures are the changes of a batch that could not be committed.
type failures struct {
	outcomes             []*Outcome
	stores               []*Store
	outcomeErr, storeErr error // the newest
}

// retryLater queues the failed changes for the next try, together with the waiting
// changes that would fail too. If the writer is closed, there is no next try.
func (w *Writer) retryLater(f *failures) {
	if f.storeErr != nil {
		w.retryStores(f)
	}
	if f.outcomeErr != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.flushNow = false // tasks need not wait for outcomes that fail
		if w.closed {
			w.closeErr = errors.Join(w.closeErr, fmt.Errorf("the last outcomes could not be recorded, and their events are delivered again: %w", f.outcomeErr))
			return
		}
		w.outcomes = append(f.outcomes, w.outcomes...)
		w.outcomePause.longer()
	}
}

func (w *Writer) retryStores(f *failures) {
	w.mu.Lock()
	stores := append(f.stores, removeFirst(&w.stores, len(w.stores))...)
	w.mu.Unlock()
	stores = slices.DeleteFunc(stores, func(s *Store) bool {
		if s.asked || s.abandoned() {
			return s.abandoned()
		}
		s.asked = true
		if s.Duplicate = w.commits.Known(s); s.Duplicate {
			s.done <- nil
		}
		return s.Duplicate
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		if len(stores) > 0 {
			w.closeErr = errors.Join(w.closeErr, f.storeErr)
		}
		w.giveUp(stores, f.storeErr)
		return
	}
	for _, s := range stores {
		s.cause = f.storeErr
	}
	w.stores = append(stores, w.stores...)
	w.storePause.longer()
}

// giveUp answers stores with an error.
func (w *Writer) giveUp(stores []*Store, err error) {
	for _, s := range stores {
		s.done <- err
	}
}

// A pause is the time between two tries of a failing commit.
type pause struct {
	length time.Duration
	until  time.Time
}

// longer starts a pause that is twice as long as the previous one.
func (p *pause) longer() {
	p.length = min(max(firstPause, 2*p.length), maxPause)
	p.until = time.Now().Add(p.length)
}

// left returns how much of the pause is left.
func (p *pause) left() time.Duration {
	if p.length == 0 {
		return 0
	}
	return max(0, time.Until(p.until))
}
