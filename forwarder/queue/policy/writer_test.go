package policy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Changes that arrive during a commit are committed together.
func TestGroupCommit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		first := w.store(t.Context(), "first")
		pass(f.took / 2)
		var rest []<-chan error
		for i := range 100 {
			rest = append(rest, w.store(t.Context(), fmt.Sprint(i)))
			w.Settle(outcomeOf(fmt.Sprint(i)))
		}
		must(t, <-first)
		for _, done := range rest {
			must(t, <-done)
		}
		if want := []string{"0 outcomes, 1 stores", "100 outcomes, 100 stores"}; !slices.Equal(f.batches, want) {
			t.Errorf("batches %q, want %q", f.batches, want)
		}
	})
}

// A batch is limited in changes and in bytes.
func TestBatchBounds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		storeAll := func(n, size int) (batches []string) {
			f.batches = nil
			first := w.store(t.Context(), "first")
			pass(f.took / 2)
			var wg sync.WaitGroup
			for i := range n {
				wg.Go(func() {
					s := newStore(fmt.Sprint(size, "-", i))
					s.Sealed = make([]byte, size)
					if err := w.Store(t.Context(), s); err != nil {
						t.Error(err)
					}
				})
			}
			must(t, <-first)
			wg.Wait()
			return f.batches[1:]
		}
		if got, want := storeAll(600, 1), []string{"0 outcomes, 256 stores", "0 outcomes, 256 stores", "0 outcomes, 88 stores"}; !slices.Equal(got, want) {
			t.Errorf("batches %q, want %q", got, want)
		}
		if got, want := storeAll(7, 5<<20), []string{"0 outcomes, 3 stores", "0 outcomes, 3 stores", "0 outcomes, 1 stores"}; !slices.Equal(got, want) {
			t.Errorf("batches of bytes %q, want %q", got, want)
		}
		if got, want := storeAll(2, 20<<20), []string{"0 outcomes, 1 stores", "0 outcomes, 1 stores"}; !slices.Equal(got, want) {
			t.Errorf("batches of events above the limit %q, want %q", got, want)
		}
	})
}

// Stores do not wait for many outcomes, and outcomes do not wait forever for stores.
func TestFewOutcomesGoWithStores(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		first := w.store(t.Context(), "first")
		pass(f.took / 2)
		for i := range 500 {
			w.Settle(outcomeOf(fmt.Sprint(i)))
		}
		var rest []<-chan error
		for i := range 50 {
			rest = append(rest, w.store(t.Context(), fmt.Sprint(i)))
		}
		must(t, <-first)
		pass(f.took / 2)
		last := w.store(t.Context(), "last")
		for _, done := range append(rest, last) {
			must(t, <-done)
		}
		must(t, w.Flush(t.Context()))
		want := []string{"0 outcomes, 1 stores", "100 outcomes, 50 stores", "32 outcomes, 1 stores", "128 outcomes, 0 stores", "128 outcomes, 0 stores", "112 outcomes, 0 stores"}
		if got := f.batches[:min(len(want), len(f.batches))]; !slices.Equal(got, want) {
			t.Errorf("batches %q, want %q", got, want)
		}
	})
}

// Outcomes wait for others, but only briefly, not after a store, and not if many wait.
func TestCommitDelay(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		recordedAfter := func(wait time.Duration, n int) {
			t.Helper()
			synctest.Wait()
			var recorded int
			f.set(func() { recorded = len(f.recorded) })
			if recorded > 0 {
				t.Fatalf("%d outcomes were recorded without delay", recorded)
			}
			pass(wait)
			synctest.Wait()
			if len(f.recorded) != n {
				t.Fatalf("%d outcomes are recorded after %v, want %d", len(f.recorded), wait, n)
			}
			f.recorded = nil
		}
		w.Settle(outcomeOf("a"))
		pass(commitDelay / 2)
		w.Settle(outcomeOf("b"))
		recordedAfter(commitDelay/2+f.took, 2)

		w.Settle(outcomeOf("a"))
		stored := w.store(t.Context(), "s")
		recordedAfter(f.took, 1)
		must(t, <-stored)

		for i := range maxBatchOutcomes {
			w.Settle(outcomeOf(fmt.Sprint(i)))
		}
		recordedAfter(f.took, maxBatchOutcomes)

		w.Settle(outcomeOf("a"))
		flushed := make(chan error, 1)
		go func() { flushed <- w.Flush(t.Context()) }()
		recordedAfter(f.took, 1)
		must(t, <-flushed)
	})
}

// Flush returns after all earlier outcomes are recorded, even if they need several
// batches.
func TestFlush(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		for i := range 3 * maxBatchOutcomes {
			w.Settle(outcomeOf(fmt.Sprint(i)))
		}
		must(t, w.Flush(t.Context()))
		if len(f.recorded) != 3*maxBatchOutcomes {
			t.Errorf("%d outcomes are recorded", len(f.recorded))
		}
		must(t, w.Flush(t.Context())) // without outcomes
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := w.Flush(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("Flush with a context that has ended: %v", err)
		}
	})
}

// Tasks run one at a time, and their errors go to their callers.
func TestDo(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		running := 0
		var wg sync.WaitGroup
		for i := range 20 {
			wg.Go(func() {
				err := w.Do(t.Context(), func(any) error {
					running++
					defer func() { running-- }()
					if running != 1 {
						t.Error("two tasks run at the same time")
					}
					if i%2 == 0 {
						return queue.ErrNotFound
					}
					return nil
				})
				if want := i%2 == 0; errors.Is(err, queue.ErrNotFound) != want {
					t.Errorf("Do: %v", err)
				}
			})
		}
		wg.Wait()
		if len(f.failed) > 0 {
			t.Errorf("task errors were passed to Failed: %v", f.failed)
		}
	})
}

// A store without room waits until there is room, and does not block other stores.
func TestStoresWaitForRoom(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.full["big"] = true
		big := w.store(t.Context(), "big")
		late := w.store(within(t, time.Second), "big")
		synctest.Wait()
		must(t, <-w.store(t.Context(), "small"))
		if err := <-late; !errors.Is(err, queue.ErrFull) {
			t.Errorf("a store whose context ended: %v", err)
		}
		w.RetryFull()
		pass(time.Minute)
		if n := len(f.tries); n > 10 {
			t.Errorf("a store without room was tried %d times", n)
		}
		f.set(func() { delete(f.full, "big") })
		w.RetryFull()
		must(t, <-big)
		if f.stored["big"] != 1 || len(f.failed) > 0 {
			t.Errorf("stored %d times, failures %v", f.stored["big"], f.failed)
		}
	})
}

// The writer notices room that is made during a commit that finds none.
func TestRoomDuringACommit(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.full["big"] = true
		f.during = func() { // the commit has found no room
			f.set(func() { delete(f.full, "big") })
			w.RetryFull()
		}
		must(t, <-w.store(within(t, time.Minute), "big"))
	})
}

// If too many outcomes wait, nothing can be claimed; Relieved is called with the
// waiting upstreams afterwards.
func TestCrowded(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.failWith(func(*Batch) error { return errDisk })
		for i := range maxOutcomes {
			if w.Crowded("ehr") {
				t.Fatalf("crowded by %d outcomes", i)
			}
			w.Settle(outcomeOf(fmt.Sprint(i)))
		}
		pass(time.Minute)
		again := w.Crowded("ehr")
		if !again || !w.Crowded("ehr") || !w.Crowded("lab") || len(f.relieved) > 0 {
			t.Errorf("Crowded returned false, or Relieved was called with %q", f.relieved)
		}
		f.failWith(nil)
		pass(time.Minute)
		slices.Sort(f.relieved)
		if !slices.Equal(f.relieved, []string{"ehr", "lab"}) || w.Crowded("ehr") {
			t.Errorf("Relieved was called with %q", f.relieved)
		}
	})
}

// Lost outcomes make room for others too.
func TestCrowdedByDamage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.failWith(func(*Batch) error { return errDisk })
		for i := range maxOutcomes {
			w.Settle(outcomeOf(fmt.Sprint(i)))
		}
		pass(time.Minute)
		if !w.Crowded("ehr") {
			t.Fatal("Crowded returned false")
		}
		f.failWith(func(b *Batch) error {
			if len(b.Outcomes) > 0 {
				return ErrDamaged
			}
			return nil
		})
		pass(time.Minute)
		if len(f.lost) != maxOutcomes || !slices.Equal(f.relieved, []string{"ehr"}) {
			t.Errorf("%d outcomes were lost, Relieved was called with %q", len(f.lost), f.relieved)
		}
	})
}
