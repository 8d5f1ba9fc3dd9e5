package policy

import (
	"context"
	"errors"
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
	waiting  []*Store            // stores that wait for room
	room     bool                // whether there may be room since the stores of a batch were taken
	starved  map[string]struct{} // upstreams that may claim nothing since too many outcomes wait
	flushNow bool                // whether outcomes are to be committed without delay
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
	w.flushNow = true
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

// RetryFull has the stores that wait for room tried again.
func (w *Writer) RetryFull() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.room = true
	w.retryFull()
}

// retryFull puts the stores that waited for room before the others.
func (w *Writer) retryFull() {
	if len(w.waiting) == 0 {
		return
	}
	w.stores = append(w.waiting, w.stores...)
	w.waiting = nil
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
