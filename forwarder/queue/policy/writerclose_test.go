package policy

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Close commits the waiting changes. Afterwards the writer accepts nothing.
func TestClose(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.full["big"] = true
		parked := w.store(t.Context(), "big")
		pass(time.Second)
		var stores []<-chan error
		for i := range 2 * maxBatchStores {
			stores = append(stores, w.store(t.Context(), fmt.Sprint(i)))
			w.Settle(outcomeOf(fmt.Sprint(i)))
		}
		synctest.Wait()
		done := make(chan error, 1)
		go func() { done <- w.Do(t.Context(), nil) }()
		synctest.Wait()
		must(t, w.Close())
		must(t, <-done)
		for _, done := range stores {
			must(t, <-done)
		}
		if err := <-parked; !errors.Is(err, queue.ErrClosed) {
			t.Errorf("a store that waited for room: %v", err)
		}
		if len(f.stored) != 2*maxBatchStores || len(f.recorded) != 2*maxBatchStores {
			t.Errorf("%d stored, %d recorded", len(f.stored), len(f.recorded))
		}
		if err := <-w.store(t.Context(), "late"); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Store: %v", err)
		}
		if err := w.Do(t.Context(), nil); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Do: %v", err)
		}
		if err := w.Flush(t.Context()); !errors.Is(err, queue.ErrClosed) {
			t.Errorf("Flush: %v", err)
		}
		if w.Settle(outcomeOf("late")) {
			t.Error("Settle accepted an outcome after Close")
		}
		w.RetryFull()
		must(t, w.Close())
	})
}

// While commits fail, Close tries once more and returns the reason.
func TestCloseWhileFailing(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fail     func(*Batch) error
		recorded int
		says     string
	}{
		"all":      {func(*Batch) error { return errDisk }, 0, "their events are delivered again"},
		"no room":  {func(b *Batch) error { return failIf(b.NeedsRoom()) }, 1000, "input/output error"},
		"outcomes": {func(b *Batch) error { return failIf(len(b.Outcomes) > 0) }, 0, "their events are delivered again"},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, f := newWriter(t)
				f.failWith(c.fail)
				store := w.store(t.Context(), "a")
				pass(time.Minute)
				for i := range 1000 {
					w.Settle(outcomeOf(fmt.Sprint(i)))
				}
				began := time.Now()
				err := w.Close()
				if err == nil || !errors.Is(err, errDisk) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("Close: %v", err)
				}
				if took := time.Since(began); took > 100*time.Millisecond {
					t.Errorf("Close took %v", took)
				}
				if err := <-store; (err == nil) != (f.stored["a"] == 1) {
					t.Errorf("Store: %v, stored %v", err, f.stored)
				}
				if len(f.recorded) != c.recorded {
					t.Errorf("%d outcomes are recorded, want %d", len(f.recorded), c.recorded)
				}
			})
		})
	}
}

func failIf(fails bool) error {
	if fails {
		return errDisk
	}
	return nil
}

// A change that waits in a pause is committed if the last try succeeds.
func TestCloseAfterAFailure(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.failWith(func(*Batch) error { return errDisk })
		store := w.store(t.Context(), "a")
		w.Settle(outcomeOf("b"))
		pass(time.Minute)
		f.failWith(nil)
		must(t, w.Close())
		must(t, <-store)
		if len(f.recorded) != 1 {
			t.Error("the outcome is not recorded")
		}
	})
}

// A call during Close succeeds or is rejected: no call blocks, and no accepted change
// is lost.
func TestCallsDuringClose(t *testing.T) {
	t.Parallel()
	for range 5000 {
		f := &fakeCommits{known: make(map[string]bool), full: make(map[string]bool), stored: make(map[string]int)}
		w := NewWriter(f)
		w.Start()
		var stored, done error
		var settled bool
		ran := false
		var wg sync.WaitGroup
		wg.Go(func() { stored = w.Store(t.Context(), newStore("a")) })
		wg.Go(func() { done = w.Do(t.Context(), func(any) error { ran = true; return nil }) })
		wg.Go(func() { settled = w.Settle(outcomeOf("a")) })
		wg.Go(func() { must(t, w.Close()) })
		wg.Wait()
		if (stored == nil) != (f.stored["a"] == 1) || (done == nil) != ran || settled != (len(f.recorded) == 1) {
			t.Fatalf("Store: %v, stored %d times; Do: %v, ran %t; Settle: %t, recorded %d", stored, f.stored["a"], done, ran, settled, len(f.recorded))
		}
	}
}
