package policy

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// commitDelay is how long outcomes wait for other outcomes and for a store, to
	// share a transaction. A lost outcome costs a duplicate.
	commitDelay = 10 * time.Millisecond

	// The pauses after a failed commit.
	firstPause = 20 * time.Millisecond
	maxPause   = time.Second
)

// ErrDamaged means that data that a change needs is permanently unreadable.
var ErrDamaged = errors.New("the storage is damaged")

// ErrNoRoom means that there is too little space for a change. It may be enough for a smaller
// change.
var ErrNoRoom = errors.New("no space left on the disk")

// Commits is the part of the engine that a Writer calls, always in the writer's
// goroutine.
type Commits interface {
	// Commit makes all changes of the batch durable in one transaction and publishes
	// them in memory, or makes none and returns an error. It sets Duplicate and Full of
	// the stores.
	Commit(b *Batch) error

	// Known reports whether the event of a failed store is already in the store, as far
	// as that can be read. Such an event is a duplicate, even if nothing can be
	// written.
	Known(s *Store) bool

	// Lost is called for an outcome that can never be recorded because the data that it
	// needs is damaged.
	Lost(o *Outcome, err error)

	// NoRoom is called with the outcome of a completion for whose event there was no
	// room, after a few tries. It returns the outcome to record instead, without an
	// event, or nil if it keeps the outcome.
	NoRoom(o *Outcome) *Outcome

	// Failed is called with each error of Commit, except the errors of tasks, and with
	// nil when events can be stored again.
	Failed(err error)

	// Relieved is called with each upstream that could not claim because too many
	// outcomes waited, when it can claim again.
	Relieved(upstream string)

	// Housekeep does the background work that is due, in small steps, and returns the
	// time until its next call. It is also called after each batch.
	Housekeep() time.Duration
}

// A Writer is the one goroutine that changes a store. It commits the changes of many
// callers together.
type Writer struct {
	commits Commits
	wake    chan struct{} // holds one token if there may be work
	ended   chan struct{}

	mu       sync.Mutex
	closed   bool
	tasks    []*Task
	outcomes []*Outcome
	oldest   time.Time // when the first of the outcomes arrived
	stores   []*Store
	waiting  []*Store            // stores that wait for room
	room     bool                // whether there may be new room since the batch was built
	starved  map[string]struct{} // upstreams that may claim nothing because too many outcomes wait
	flushNow bool                // whether to commit the outcomes without delay
	failing  bool                // whether the last store failed and no later one has succeeded

	// Used only by the writer's goroutine.
	storePause, outcomePause pause
	closeErr                 error
}

// NewWriter returns a Writer. Start starts it.
func NewWriter(c Commits) *Writer {
	return &Writer{commits: c, wake: make(chan struct{}, 1), ended: make(chan struct{}), starved: make(map[string]struct{})}
}

// Start starts the goroutine.
func (w *Writer) Start() { go w.run() }

// Close commits the waiting changes and ends the goroutine. It drops the changes that
// cannot be committed, and returns the reason.
func (w *Writer) Close() error {
	w.mu.Lock()
	w.closed = true
	w.mu.Unlock()
	w.signal()
	<-w.ended
	return w.closeErr
}

// Store stores s. It returns when s is durable, and retries until then. It returns an
// error if ctx ends before.
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

// A WaitError is the error of a store whose context ended while it waited.
type WaitError struct {
	Cause error
}

func (e *WaitError) Error() string {
	return e.Cause.Error() + ", and the time to wait for it is over"
}

// Unwrap returns the cause.
func (e *WaitError) Unwrap() error { return e.Cause }

// Settle queues an outcome to be recorded. It returns false if the writer is closed.
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

// Do makes a change in a transaction of its own. It returns when the change is made or
// has failed, even if ctx ends meanwhile.
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

// Flush returns when all earlier outcomes are recorded or have failed once.
func (w *Writer) Flush(ctx context.Context) error {
	w.mu.Lock()
	w.flushNow = true
	w.mu.Unlock()
	return w.Do(ctx, nil)
}

// Crowded reports whether so many outcomes wait, or for a completion such large ones,
// that Claim must return nothing. The writer calls Relieved with the upstream when it can
// claim again.
func (w *Writer) Crowded(upstream string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.crowded(upstream, 1) {
		return false
	}
	w.starved[upstream] = struct{}{}
	return true
}

// crowded compares the waiting outcomes with a part of the limits.
func (w *Writer) crowded(upstream string, part int) bool {
	return len(w.outcomes) >= maxOutcomes/part || queue.IsCompletion(upstream) && w.completed() >= maxCompleted/part
}

// completed returns the bytes of the waiting completed events.
func (w *Writer) completed() (n int) {
	for _, o := range w.outcomes {
		n += o.Bytes()
	}
	return n
}

// RetryFull retries the stores that wait for room.
func (w *Writer) RetryFull() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.room = true
	w.retryFull()
}

// retryFull moves the stores that wait for room to the front of the queue.
func (w *Writer) retryFull() {
	if len(w.waiting) == 0 {
		return
	}
	w.stores = append(w.waiting, w.stores...)
	w.waiting = nil
	w.signal()
}

// Failing makes the writer probe until events can be stored again, and then call Failed
// with nil. An engine calls it if a write outside the batches has failed.
func (w *Writer) Failing() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.failing = true
}

// Wake makes the writer call Housekeep soon.
func (w *Writer) Wake() { w.signal() }

func (w *Writer) signal() {
	select {
	case w.wake <- struct{}{}:
	default:
	}
}
