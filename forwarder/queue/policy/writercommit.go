package policy

import (
	"errors"
	"runtime"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func (w *Writer) run() {
	defer close(w.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var kept bool          // whether housekeeping was done since the last wake
	var keep time.Duration // until housekeeping is due again
	for {
		b, wait, ended := w.next()
		switch {
		case ended:
			return
		case b != nil:
			var f failures
			w.commit(b, &f)
			w.retryLater(&f)
			w.relieve()
			runtime.Gosched() // answered callers run first and may bring more changes: larger commits are cheaper
			keep, kept = w.commits.Housekeep(), true
		case !kept:
			keep, kept = w.commits.Housekeep(), true
		default:
			timer.Reset(min(wait, keep))
			select {
			case <-w.wake:
			case <-timer.C:
			}
			kept = false
		}
	}
}

// next returns the next batch, or nil and how long to wait for one. If the writer is
// closed and nothing else is left, it rejects the stores that wait for room.
func (w *Writer) next() (b *Batch, wait time.Duration, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tasks) > 0 && (len(w.outcomes) == 0 || !w.flushNow) {
		return &Batch{Task: removeFirst(&w.tasks, 1)[0]}, 0, false
	}
	w.stores = slices.DeleteFunc(w.stores, (*Store).abandoned)
	w.waiting = slices.DeleteFunc(w.waiting, (*Store).abandoned)
	b = &Batch{}
	storesIn, outcomesIn := w.storePause.left(), w.outcomePause.left()
	if w.closed { // this is the last try
		storesIn, outcomesIn = 0, 0
	}
	if storesIn == 0 {
		b.Stores = removeFirst(&w.stores, w.batchOfStores())
		b.Probe = len(b.Stores) == 0 && w.failing && !w.closed
		w.room = false
	}
	n := min(len(w.outcomes), maxBatchOutcomes)
	if len(b.Stores) > 0 {
		n = min(n, max(fewOutcomes, 2*len(b.Stores)))
	}
	if outcomesIn == 0 && n < maxBatchOutcomes && len(b.Stores) == 0 {
		outcomesIn = max(0, commitDelay-time.Since(w.oldest))
	}
	if outcomesIn == 0 || w.flushNow || w.closed {
		if b.Outcomes = removeFirst(&w.outcomes, w.batchOfOutcomes(n)); len(w.outcomes) == 0 {
			w.flushNow = false
		}
	}
	if b.size() > 0 {
		return b, 0, false
	}
	if w.closed {
		w.giveUp(w.waiting, queue.ErrClosed)
		w.waiting = nil
		return nil, 0, true
	}
	wait = time.Hour
	if len(w.outcomes) > 0 {
		wait = min(wait, outcomesIn)
	}
	if len(w.stores) > 0 || w.failing {
		wait = min(wait, storesIn)
	}
	return nil, wait, false
}

// batchOfStores returns how many stores fit into one batch.
func (w *Writer) batchOfStores() (n int) {
	for size := 0; n < min(len(w.stores), maxBatchStores); n++ {
		if size += len(w.stores[n].Sealed); n > 0 && size > maxBatchBytes {
			break
		}
	}
	return n
}

// batchOfOutcomes returns how many of the first n outcomes fit into one batch.
func (w *Writer) batchOfOutcomes(n int) (fit int) {
	for size := 0; fit < n; fit++ {
		if size += w.outcomes[fit].Bytes(); fit > 0 && size > maxBatchComplete {
			break
		}
	}
	return fit
}

// removeFirst removes and returns the first n elements of a list.
func removeFirst[T any](list *[]T, n int) []T {
	first := slices.Clone((*list)[:n])
	*list = slices.Delete(*list, 0, n)
	return first
}

// abandoned reports whether the caller has stopped waiting for the store.
func (s *Store) abandoned() bool { return s.ctx.Err() != nil }

// commit commits a batch. If that fails, it retries the batch in parts.
func (w *Writer) commit(b *Batch, f *failures) {
	b.Stores = slices.DeleteFunc(b.Stores, (*Store).abandoned) // abandoned while another part was committed
	if b.size() == 0 {
		return
	}
	err := w.commits.Commit(b)
	if b.Task != nil {
		b.Task.done <- err
		return
	}
	if err == nil {
		w.committed(b)
		return
	}
	parts := b.parts(errors.Is(err, ErrDamaged), errors.Is(err, ErrNoRoom))
	if len(parts) > 1 {
		for _, part := range parts {
			w.commit(part, f)
		}
		return
	}
	w.Failing()
	w.commits.Failed(err)
	switch {
	case len(b.Outcomes) == 0:
		f.stores, f.storeErr = append(f.stores, b.Stores...), err
	case errors.Is(err, ErrDamaged):
		w.commits.Lost(b.Outcomes[0], err)
	case errors.Is(err, ErrNoRoom) && b.Outcomes[0].completes():
		o := b.Outcomes[0]
		if o.refused++; o.refused >= maxRefused {
			o = w.commits.NoRoom(o)
		}
		if o != nil {
			f.outcomes, f.outcomeErr = append(f.outcomes, o), err
		}
	default:
		f.outcomes, f.outcomeErr = append(f.outcomes, b.Outcomes...), err
	}
}

// committed answers the callers of a committed batch.
func (w *Writer) committed(b *Batch) {
	stored := b.Probe
	w.mu.Lock()
	for _, s := range b.Stores {
		if s.Full {
			s.cause = queue.ErrFull
			w.waiting = append(w.waiting, s)
			continue
		}
		stored = stored || !s.Duplicate
		s.done <- nil
	}
	if w.room { // room was made since the engine checked
		w.retryFull()
	}
	if len(b.Outcomes) > 0 {
		w.outcomePause = pause{}
	}
	if stored {
		w.storePause = pause{}
	}
	over := stored && w.failing
	w.failing = w.failing && !over
	w.mu.Unlock()
	if over {
		w.commits.Failed(nil)
	}
}

// relieve calls Relieved if few enough outcomes wait.
func (w *Writer) relieve() {
	w.mu.Lock()
	var names []string
	for name := range w.starved {
		if !w.crowded(name, 2) {
			names = append(names, name)
			delete(w.starved, name)
		}
	}
	w.mu.Unlock()
	for _, name := range names {
		w.commits.Relieved(name)
	}
}
