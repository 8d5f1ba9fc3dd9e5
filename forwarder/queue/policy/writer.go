package policy

import (
	"context"
	"errors"
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

	// The waits after a failed commit.
	firstBackoff = 20 * time.Millisecond
	maxBackoff   = time.Second
)

// ErrDamaged says that what a change needs cannot be read, now or later.
var ErrDamaged = errors.New("the storage is damaged")

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

	// Housekeep does what is due beside the changes, in small steps, and returns
	// how soon it wants to be called again. It is called after each batch, too.
	Housekeep() time.Duration
}

// A Writer is the one goroutine that changes a store. It commits the changes of many
// callers together.
type Writer struct {
	commits Commits
	wake    chan struct{} // holds one token when something may wait
	closing chan struct{}
	ended   chan struct{}

	mu       sync.Mutex
	closed   bool
	tasks    []*Task
	outcomes []*Outcome
	oldest   time.Time // when the first of the outcomes came
	stores   []*Store
	parked   []*Store            // stores that wait for room
	starved  map[string]struct{} // upstreams that may claim nothing since too many outcomes wait
	pressed  bool                // whether outcomes are to be committed without delay

	// The goroutine's own.
	failing  bool // whether the last commit of a store failed
	backoff  time.Duration
	closeErr error
}

// NewWriter returns a Writer that has not been started.
func NewWriter(c Commits) *Writer {
	return &Writer{
		commits: c, wake: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
		starved: make(map[string]struct{}),
	}
}

// Start starts the goroutine.
func (w *Writer) Start() { go w.run() }

// Close commits what waits and ends the goroutine. What cannot be committed is given
// up, and the reason returned.
func (w *Writer) Close() error {
	w.mu.Lock()
	if !w.closed {
		w.closed = true
		close(w.closing)
	}
	w.mu.Unlock()
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

// Do makes a change in a transaction of its own.
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

// Crowded reports whether so many outcomes wait that nothing may be claimed, and
// notes the upstream, which Relieved returns when that is over.
func (w *Writer) Crowded(upstream string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.outcomes) < maxOutcomes {
		return false
	}
	w.starved[upstream] = struct{}{}
	return true
}

// Relieved returns the upstreams that may claim again.
func (w *Writer) Relieved() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.starved) == 0 || len(w.outcomes) > maxOutcomes/2 {
		return nil
	}
	var names []string
	for name := range w.starved {
		names = append(names, name)
	}
	clear(w.starved)
	return names
}

// Unpark has the stores that wait for room tried again.
func (w *Writer) Unpark() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.parked) == 0 {
		return
	}
	w.stores = append(w.parked, w.stores...)
	w.parked = nil
	w.signal()
}

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
	for {
		runtime.Gosched() // those who were answered may have more: the more in one commit, the cheaper
		b, wait := w.next()
		switch {
		case b != nil:
			w.commit(b)
		case w.isClosed():
			w.giveUp(queue.ErrClosed) // stores that wait for room
			return
		default:
			wait = min(wait, w.commits.Housekeep())
			timer.Reset(wait)
			select {
			case <-w.wake:
			case <-timer.C:
			case <-w.closing:
			}
			continue
		}
		w.commits.Housekeep()
		if w.backoff > 0 && !w.wait() {
			w.giveUp(w.closeErr)
			return
		}
	}
}

// next returns what is to be committed now, or nil and how long that may take.
func (w *Writer) next() (*Batch, time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.tasks) > 0 && (len(w.outcomes) == 0 || !w.pressed) {
		t := w.tasks[0]
		w.tasks = slices.Delete(w.tasks, 0, 1)
		return &Batch{Task: t}, 0
	}
	b := &Batch{}
	w.stores = slices.DeleteFunc(w.stores, (*Store).abandoned)
	w.parked = slices.DeleteFunc(w.parked, (*Store).abandoned)
	n, size := 0, 0
	for n < min(len(w.stores), maxBatchStores) && (n == 0 || size+len(w.stores[n].Sealed) <= maxBatchBytes) {
		size += len(w.stores[n].Sealed)
		n++
	}
	b.Stores = take(&w.stores, n)
	if len(b.Stores) == 0 && len(w.outcomes) < maxBatchOutcomes && !w.pressed && !w.closed {
		if len(w.outcomes) == 0 {
			return nil, time.Hour
		}
		if wait := commitDelay - time.Since(w.oldest); wait > 0 {
			return nil, wait
		}
	}
	b.Outcomes = take(&w.outcomes, min(len(w.outcomes), maxBatchOutcomes))
	if len(w.outcomes) == 0 {
		w.pressed = false
	}
	if b.size() == 0 {
		return nil, time.Hour
	}
	return b, 0
}

// take takes the first n of a list.
func take[T any](list *[]T, n int) []T {
	first := slices.Clone((*list)[:n])
	*list = slices.Delete(*list, 0, n)
	return first
}

// abandoned reports whether nobody waits for the store any more.
func (s *Store) abandoned() bool { return s.ctx.Err() != nil }

// commit commits a batch, in parts where that fails. What cannot be committed goes
// back to wait.
func (w *Writer) commit(b *Batch) {
	err := w.commits.Commit(b)
	if err == nil {
		w.committed(b)
		return
	}
	if b.Task != nil {
		b.Task.done <- err
		return
	}
	parts := b.parts(errors.Is(err, ErrDamaged))
	if len(parts) > 1 {
		for _, part := range parts {
			w.commit(part)
		}
		return
	}
	w.commits.Failed(err)
	w.failing = w.failing || len(b.Stores) > 0
	if errors.Is(err, ErrDamaged) && len(b.Outcomes) == 1 {
		w.commits.Lost(b.Outcomes[0], err)
		b.Outcomes = nil
	}
	b.Stores = slices.DeleteFunc(b.Stores, func(s *Store) bool {
		s.Duplicate = !s.tried && w.commits.Known(s)
		if s.tried = true; s.Duplicate {
			s.done <- nil
		}
		return s.Duplicate
	})
	w.backoff = min(max(firstBackoff, 2*w.backoff), maxBackoff)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pressed = false // tasks need not wait for what fails
	w.outcomes = append(b.Outcomes, w.outcomes...)
	w.stores = append(b.Stores, w.stores...)
	for _, s := range w.stores { // those that were not tried wait for the same
		s.cause = err
	}
}

// committed answers those who wait.
func (w *Writer) committed(b *Batch) {
	if b.Task != nil {
		b.Task.done <- nil
		return
	}
	stored := false
	for _, s := range b.Stores {
		if s.Full {
			s.Full = false
			w.mu.Lock()
			s.cause = queue.ErrFull
			w.parked = append(w.parked, s)
			w.mu.Unlock()
			continue
		}
		stored = stored || !s.Duplicate
		s.done <- nil
	}
	w.backoff = 0
	if stored && w.failing {
		w.failing = false
		w.commits.Failed(nil)
	}
}

// wait waits after a failed commit, longer each time. When the writer is being closed
// the first failure is the last, and wait returns false.
func (w *Writer) wait() bool {
	timer := time.NewTimer(w.backoff)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-w.closing:
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, s := range w.stores {
			w.closeErr = s.cause
		}
		if w.closeErr == nil && len(w.outcomes) > 0 {
			w.closeErr = errors.New("the last outcomes could not be recorded; their events are delivered again")
		}
		return w.closeErr == nil
	}
}

// giveUp answers all that still waits with an error.
func (w *Writer) giveUp(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, s := range append(w.stores, w.parked...) {
		s.done <- err
	}
	for _, t := range w.tasks {
		t.done <- err
	}
	w.stores, w.parked, w.tasks, w.outcomes = nil, nil, nil, nil
}

func (w *Writer) isClosed() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.closed
}
