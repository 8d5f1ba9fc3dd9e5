package policy

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// commitDelay is how long outcomes wait for others, and for a store, to share
	// a transaction with. Losing one costs a duplicate.
	commitDelay = 10 * time.Millisecond

	// The pauses after a failed commit.
	firstPause = 20 * time.Millisecond
	maxPause   = time.Second
)

// ErrDamaged says that what a change needs cannot be read, now or later.
var ErrDamaged = errors.New("the storage is damaged")

// ErrNoRoom says that there is too little space for a change, and may be enough for a
// smaller one.
var ErrNoRoom = errors.New("no space left on the disk")

// Commits are what a Writer needs of its engine. All of it is called by the writer's
// goroutine.
type Commits interface {
	// Commit makes all changes of the batch durable in one transaction, and
	// publishes them in memory, or makes none and returns an error. It sets
	// Duplicate and Full of the stores.
	Commit(b *Batch) error

	// Known reports whether an event that could not be stored is in the store
	// already, where that can be read: such a store is a duplicate, whatever state the
	// disk is in.
	Known(s *Store) bool

	// Lost is called for an outcome that cannot be recorded, now or later, since
	// what it needs is damaged.
	Lost(o *Outcome, err error)

	// Failed is called with each error of Commit that is not a task's, and with nil
	// when events can be stored after that.
	Failed(err error)

	// Relieved is called with each upstream that could claim nothing, since too many
	// outcomes waited, and can claim again.
	Relieved(upstream string)

	// Housekeep does what is due beside the changes, in small steps, and returns
	// how soon it wants to be called again. It is called after each batch, too.
	Housekeep() time.Duration
}

// A Writer is the one goroutine that changes a store. It commits the changes of many
// callers together.
type Writer struct {
	commits Commits
	wake    chan struct{} // holds one token when something may wait
	ended   chan struct{}

	mu       sync.Mutex
	closed   bool
	tasks    []*Task
	outcomes []*Outcome
	oldest   time.Time // when the first of the outcomes came
	stores   []*Store
	parked   []*Store            // stores that wait for room
	room     bool                // whether there may be room since the stores of a batch were taken
	starved  map[string]struct{} // upstreams that may claim nothing since too many outcomes wait
	pressed  bool                // whether outcomes are to be committed without delay
	failing  bool                // whether it is not known that events can be stored

	// The goroutine's own.
	storePause, outcomePause pause
	closeErr                 error
}

// NewWriter returns a Writer that has not been started.
func NewWriter(c Commits) *Writer {
	return &Writer{commits: c, wake: make(chan struct{}, 1), ended: make(chan struct{}), starved: make(map[string]struct{})}
}

// Start starts the goroutine.
func (w *Writer) Start() { go w.run() }

// Close commits what waits and ends the goroutine. What cannot be committed then is
// given up, and the reason returned.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.ended
	return w.closeErr
}

// Store has s stored, and returns when it is durable, or with an error when ctx has
// ended. It retries until then.
func (w *Writer) Store(ctx context.Context, s *Store) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	s.ctx, s.done = ctx, make(chan error, 1)
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return queue.ErrClosed
	}
	w.stores = append(w.stores, s)
	w.mu.Unlock()
	w.signal()
	select {
	case err := <-s.done:
		return err
	case <-ctx.Done():
	}
	select {
	case err := <-s.done:
		return err
	default:
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s.cause != nil {
		return &WaitError{Cause: s.cause}
	}
	return ctx.Err()
}

// A WaitError is the error of a store that waited as long as it could.
type WaitError struct {
	Cause error
}

func (e *WaitError) Error() string {
	return e.Cause.Error() + ", and the time to wait for it is over"
}

// Unwrap returns the cause.
func (e *WaitError) Unwrap() error { return e.Cause }

// Settle has an outcome recorded, and reports whether it will be: not if the writer
// is closed.
func (w *Writer) Settle(o *Outcome) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		return false
	}
	if len(w.outcomes) == 0 {
		w.oldest = time.Now()
	}
	w.outcomes = append(w.outcomes, o)
	if n := len(w.outcomes); n == 1 || n == maxBatchOutcomes {
		w.signal()
	}
	return true
}

// Do makes a change in a transaction of its own. It returns when that is made or has
// failed, also where ctx ends meanwhile.
func (w *Writer) Do(ctx context.Context, do func(tx any) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	t := &Task{Do: do, done: make(chan error, 1)}
	w.mu.Lock()
	if w.closed {
		w.mu.Unlock()
		return queue.ErrClosed
	}
	w.tasks = append(w.tasks, t)
	w.mu.Unlock()
	w.signal()
	return <-t.done
}

// Flush returns when all outcomes that were settled before are recorded, or have
// failed once.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	w.pressed = true
	w.mu.Unlock()
	return w.Do(ctx, nil)
}

// Crowded reports whether so many outcomes wait that nothing may be claimed. The
// upstream is passed to Relieved when that is over.
func (w *Writer) Crowded(upstream string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.outcomes) < maxOutcomes {
		return false
	}
	w.starved[upstream] = struct{}{}
	return true
}

// relieve calls Relieved when enough outcomes are gone.
func (w *Writer) relieve() {
	w.mu.Lock()
	var names []string
	if len(w.outcomes) <= maxOutcomes/2 {
		for name := range w.starved {
			names = append(names, name)
		}
		clear(w.starved)
	}
	w.mu.Unlock()
	for _, name := range names {
		w.commits.Relieved(name)
	}
}

// Unpark has the stores that wait for room tried again.
func (w *Writer) Unpark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.room = true
	w.unpark()
}

// unpark puts the stores that waited for room before the others.
func (w *Writer) unpark() {
	if len(w.parked) == 0 {
		return
	}
	w.stores = append(w.parked, w.stores...)
	w.parked = nil
	w.signal()
}

// Failing has the writer find out, and call Failed with nil, when events can be stored
// again. It is for an engine that found beside the batches that writing fails.
func (w *Writer) Failing() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = true
}

// Wake has Housekeep called soon.
func (w *Writer) Wake() { w.signal() }

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *Writer) run() {
	defer close(w.ended)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var kept bool          // whether housekeeping was done since something happened
	var keep time.Duration // until it is due again
	for {
		b, wait, ended := w.next()
		switch {
		case ended:
			return
		case b != nil:
			var f failed
			w.commit(b, &f)
			w.putBack(&f)
			w.relieve()
			runtime.Gosched() // those who were answered go first, and may have more: the more in one commit, the cheaper
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

// next returns what is to be committed now, or nil and how long that may take. At the
// end of a closed writer it gives up what waits for room.
func (w *Writer) next() (b *Batch, wait time.Duration, ended bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tasks) > 0 && (len(w.outcomes) == 0 || !w.pressed) {
		return &Batch{Task: take(&w.tasks, 1)[0]}, 0, false
	}
	w.stores = slices.DeleteFunc(w.stores, (*Store).abandoned)
	w.parked = slices.DeleteFunc(w.parked, (*Store).abandoned)
	b = &Batch{}
	storesIn, outcomesIn := w.storePause.left(), w.outcomePause.left()
	if w.closed { // this is the last try
		storesIn, outcomesIn = 0, 0
	}
	if storesIn == 0 {
		b.Stores = take(&w.stores, w.batchOfStores())
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
	if outcomesIn == 0 || w.pressed || w.closed {
		if b.Outcomes = take(&w.outcomes, n); len(w.outcomes) == 0 {
			w.pressed = false
		}
	}
	if b.size() > 0 {
		return b, 0, false
	}
	if w.closed {
		w.giveUp(w.parked, queue.ErrClosed)
		w.parked = nil
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

// batchOfStores returns how many of the stores go into one batch.
func (w *Writer) batchOfStores() (n int) {
	for size := 0; n < min(len(w.stores), maxBatchStores); n++ {
		if size += len(w.stores[n].Sealed); n > 0 && size > maxBatchBytes {
			break
		}
	}
	return n
}

// take takes the first n of a list.
func take[T any](list *[]T, n int) []T {
	first := slices.Clone((*list)[:n])
	*list = slices.Delete(*list, 0, n)
	return first
}

// abandoned reports whether nobody waits for the store any more.
func (s *Store) abandoned() bool { return s.ctx.Err() != nil }

// failed is what could not be committed of a batch.
type failed struct {
	outcomes             []*Outcome
	stores               []*Store
	outcomeErr, storeErr error // the newest
}

// commit commits a batch, in parts where that fails.
func (w *Writer) commit(b *Batch, f *failed) {
	b.Stores = slices.DeleteFunc(b.Stores, (*Store).abandoned) // while another part was committed
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
	default:
		f.outcomes, f.outcomeErr = append(f.outcomes, b.Outcomes...), err
	}
}

// committed answers those who wait.
func (w *Writer) committed(b *Batch) {
	stored := b.Probe
	w.mu.Lock()
	for _, s := range b.Stores {
		if s.Full {
			s.cause = queue.ErrFull
			w.parked = append(w.parked, s)
			continue
		}
		stored = stored || !s.Duplicate
		s.done <- nil
	}
	if w.room { // since the engine looked whether there is
		w.unpark()
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

// putBack has what could not be committed wait for the next try, with all that would
// fail likewise. When the writer is closed that was the last.
func (w *Writer) putBack(f *failed) {
	if f.storeErr != nil {
		w.putBackStores(f)
	}
	if f.outcomeErr != nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.pressed = false // tasks need not wait for what fails
		if w.closed {
			w.closeErr = errors.Join(w.closeErr, fmt.Errorf("the last outcomes could not be recorded, and their events are delivered again: %w", f.outcomeErr))
			return
		}
		w.outcomes = append(f.outcomes, w.outcomes...)
		w.outcomePause.longer()
	}
}

func (w *Writer) putBackStores(f *failed) {
	w.mu.Lock()
	stores := append(f.stores, take(&w.stores, len(w.stores))...)
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

// A pause is the time between two tries of what fails.
type pause struct {
	length time.Duration
	until  time.Time
}

// longer begins a pause, twice as long as the one before.
func (p *pause) longer() {
	p.length = min(max(firstPause, 2*p.length), maxPause)
	p.until = time.Now().Add(p.length)
}

// left returns how much is left of the pause.
func (p *pause) left() time.Duration {
	if p.length == 0 {
		return 0
	}
	return max(0, time.Until(p.until))
}
