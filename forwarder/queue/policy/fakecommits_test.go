package policy

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

var errDisk = errors.New("input/output error")

// fakeCommits is an engine whose commits take a millisecond and fail as a test
// requires.
type fakeCommits struct {
	took time.Duration

	mu        sync.Mutex
	fail      func(*Batch) error // may be nil
	during    func()             // called in the middle of a commit; may be nil
	known     map[string]bool    // ids that are in the store
	full      map[string]bool    // ids that do not fit
	tries     []time.Time        // when each Commit began
	batches   []string           // the successful ones
	stored    map[string]int     // by id: how often it was stored
	recorded  []string           // ids of outcomes
	lost      []string
	postponed []string // ids of completed events for which there was no room
	failed    []error
	relieved  []string
}

// newWriter returns a running Writer with a fakeCommits, and closes it at the end of
// the test.
func newWriter(t *testing.T) (*Writer, *fakeCommits) {
	t.Helper()
	f := &fakeCommits{took: time.Millisecond, known: make(map[string]bool), full: make(map[string]bool), stored: make(map[string]int)}
	w := NewWriter(f)
	w.Start()
	t.Cleanup(func() { _ = w.Close() })
	return w, f
}

func (f *fakeCommits) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

func (f *fakeCommits) failWith(fail func(*Batch) error) { f.set(func() { f.fail = fail }) }

func (f *fakeCommits) Commit(b *Batch) error {
	f.mu.Lock()
	f.tries = append(f.tries, time.Now())
	fail, during := f.fail, f.during
	f.mu.Unlock()
	time.Sleep(f.took)
	for _, s := range b.Stores {
		f.set(func() { s.Full, s.Duplicate = f.full[s.Event.ID], f.known[s.Event.ID] })
	}
	if during != nil {
		during()
	}
	if fail != nil {
		if err := fail(b); err != nil {
			return err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, o := range b.Outcomes {
		f.recorded = append(f.recorded, o.Delivery.EventID)
	}
	for _, s := range b.Stores {
		if !s.Full && !s.Duplicate {
			f.stored[s.Event.ID]++
			f.known[s.Event.ID] = true
		}
	}
	switch {
	case b.Task == nil:
		f.batches = append(f.batches, fmt.Sprintf("%d outcomes, %d stores", len(b.Outcomes), len(b.Stores)))
	case b.Task.Do != nil:
		f.mu.Unlock()
		defer f.mu.Lock()
		return b.Task.Do(nil)
	}
	return nil
}

func (f *fakeCommits) Known(s *Store) (known bool) {
	f.set(func() { known = f.known[s.Event.ID] })
	return known
}

func (f *fakeCommits) Lost(o *Outcome, _ error) {
	f.set(func() { f.lost = append(f.lost, o.Delivery.EventID) })
}

func (f *fakeCommits) NoRoom(o *Outcome) *Outcome {
	f.set(func() { f.postponed = append(f.postponed, o.Delivery.EventID) })
	instead := *o
	instead.Event, instead.State = nil, queue.Pending
	return &instead
}

func (f *fakeCommits) Failed(err error) { f.set(func() { f.failed = append(f.failed, err) }) }

func (f *fakeCommits) Relieved(upstream string) {
	f.set(func() { f.relieved = append(f.relieved, upstream) })
}

func (f *fakeCommits) Housekeep() time.Duration { return time.Second }

// hasRecovered reports whether the newest call of Failed was with nil.
func (f *fakeCommits) hasRecovered() (recovered bool) {
	f.set(func() { recovered = len(f.failed) > 0 && f.failed[len(f.failed)-1] == nil })
	return recovered
}

// newStore returns a store of an event with the id.
func newStore(id string) *Store {
	it := queue.Item{Event: &event.Event{ID: id}, Upstreams: []string{"ehr"}}
	return &Store{Item: it, Event: &Event{ID: id}, Sealed: []byte("sealed")}
}

// store stores an event in the background, and returns the channel of its error.
func (w *Writer) store(ctx context.Context, id string) <-chan error {
	done := make(chan error, 1)
	go func() { done <- w.Store(ctx, newStore(id)) }()
	return done
}

// within returns a context with a timeout.
func within(t *testing.T, d time.Duration) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func outcomeOf(id string) *Outcome {
	return &Outcome{Outcome: queue.Outcome{Delivery: queue.Delivery{EventID: id, Upstream: "ehr"}, State: queue.Delivered}}
}

// inBubble runs a test in a synctest bubble, which has its own time.
func inBubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, test)
}

// pass lets d pass, and returns when all goroutines are idle.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// must fails the test if err is not nil.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
