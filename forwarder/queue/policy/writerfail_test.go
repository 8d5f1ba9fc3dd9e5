package policy

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// If the storage is damaged, each change is tried alone: only those that touch the
// damage are lost or wait.
func TestDamage(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.failWith(func(b *Batch) error {
			for _, o := range b.Outcomes {
				if o.Delivery.EventID == "3" {
					return fmt.Errorf("page 7: %w", ErrDamaged)
				}
			}
			for _, s := range b.Stores {
				if s.Event.ID == "5" {
					return fmt.Errorf("page 8: %w", ErrDamaged)
				}
			}
			return nil
		})
		var stores []<-chan error
		for i := range 10 {
			w.Settle(outcomeOf(fmt.Sprint(i)))
			stores = append(stores, w.store(within(t, 8*time.Second), fmt.Sprint(i)))
		}
		for i, done := range stores {
			if err := <-done; errors.Is(err, ErrDamaged) != (i == 5) || (err != nil) != (i == 5) {
				t.Errorf("store %d: %v", i, err)
			}
		}
		if slices.Sort(f.recorded); strings.Join(f.recorded, "") != "012456789" || strings.Join(f.lost, "") != "3" || len(f.stored) != 9 {
			t.Errorf("recorded %q, lost %q, stored %v", f.recorded, f.lost, f.stored)
		}
	})
}

// Outcomes are recorded at their usual pace while there is not enough room for stores.
func TestOutcomesOnAFullDisk(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.failWith(func(b *Batch) error {
			if b.NeedsRoom() {
				return errDisk
			}
			return nil
		})
		refused := w.store(within(t, 8*time.Second), "refused")
		pass(5 * time.Second) // the pauses are long by now
		for i := range 10 {
			w.Settle(outcomeOf(fmt.Sprint(i)))
			pass(2 * commitDelay)
			if len(f.recorded) != i+1 {
				t.Errorf("%d outcomes are recorded, want %d", len(f.recorded), i+1)
			}
		}
		if err := <-refused; !errors.Is(err, errDisk) || !strings.Contains(err.Error(), "the time to wait for it is over") {
			t.Errorf("Store: %v", err)
		}
		if f.hasRecovered() {
			t.Error("Failed(nil) was called because outcomes can be recorded")
		}
		if n := len(f.tries); n > 100 {
			t.Errorf("%d tries", n)
		}
	})
}

// Failed commits are retried after growing pauses until they succeed.
func TestPauses(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.took = 0
		f.failWith(func(*Batch) error { return errDisk })
		done := w.store(t.Context(), "a")
		pass(10 * time.Second)
		var pauses []time.Duration
		for i := range len(f.tries) - 1 {
			pauses = append(pauses, f.tries[i+1].Sub(f.tries[i]))
		}
		var want []time.Duration
		for _, ms := range []int{20, 40, 80, 160, 320, 640, 1000, 1000, 1000, 1000, 1000, 1000, 1000, 1000} {
			want = append(want, time.Duration(ms)*time.Millisecond)
		}
		if !slices.Equal(pauses, want) {
			t.Errorf("pauses %v, want %v", pauses, want)
		}
		f.failWith(nil)
		must(t, <-done)
		must(t, <-w.store(t.Context(), "b"))
		if !f.hasRecovered() {
			t.Error("Failed(nil) was not called")
		}
	})
}

// After any failure, the writer finds out that events can be stored again, even if none
// arrives.
func TestProbe(t *testing.T) {
	t.Parallel()
	for name, begin := range map[string]func(w *Writer){
		"a store":             func(w *Writer) { _ = w.Store(context.Background(), newStore("known")) },
		"an outcome":          func(w *Writer) { w.Settle(outcomeOf("a")) },
		"outside the batches": func(w *Writer) { w.commits.Failed(errDisk); w.Failing() },
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				w, f := newWriter(t)
				f.known["known"] = true
				f.failWith(func(*Batch) error { return errDisk })
				begin(w)
				pass(10 * time.Second)
				if len(f.failed) == 0 || f.hasRecovered() {
					t.Fatalf("failures %v", f.failed)
				}
				f.failWith(nil)
				pass(2 * maxPause)
				if !f.hasRecovered() {
					t.Error("Failed(nil) was not called")
				}
				n := len(f.tries)
				pass(time.Minute)
				if len(f.tries) != n {
					t.Errorf("%d tries after the recovery", len(f.tries)-n)
				}
			})
		})
	}
}

// A duplicate is answered while nothing can be written, even behind many waiting
// stores.
func TestDuplicateWhileFailing(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.known["known"] = true
		f.failWith(func(*Batch) error { return errDisk })
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		for i := range 3 * maxBatchStores {
			w.store(ctx, fmt.Sprint(i))
		}
		pass(10 * time.Second)
		s := newStore("known")
		must(t, w.Store(within(t, 2*maxPause), s))
		if !s.Duplicate {
			t.Error("the event is not a duplicate")
		}
	})
}

// Tasks and Flush do not wait for outcomes that cannot be recorded.
func TestTasksWhileOutcomesFail(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.failWith(func(b *Batch) error {
			if b.Task == nil {
				return errDisk
			}
			return nil
		})
		for i := range 1000 {
			w.Settle(outcomeOf(fmt.Sprint(i)))
		}
		pass(time.Minute)
		began := time.Now()
		for range 100 {
			must(t, w.Do(t.Context(), func(any) error { return nil }))
			must(t, w.Flush(t.Context()))
		}
		if took := time.Since(began); took > 10*maxPause {
			t.Errorf("tasks and flushes took %v", took)
		}
		f.failWith(nil)
		must(t, w.Flush(t.Context()))
		if len(f.recorded) != 1000 || len(slices.Compact(slices.Sorted(slices.Values(f.recorded)))) != 1000 {
			t.Errorf("%d outcomes are recorded", len(f.recorded))
		}
	})
}

// A store is not committed if its context ended while an earlier part of its batch was
// committed.
func TestAbandonedBetweenParts(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.took = time.Second
		f.failWith(func(b *Batch) error {
			if len(b.Stores) > 1 {
				return ErrDamaged
			}
			return nil
		})
		var stores []<-chan error
		for i := range 10 {
			stores = append(stores, w.store(within(t, 4500*time.Millisecond), fmt.Sprint(i)))
		}
		synctest.Wait()
		n := 0
		for _, done := range stores {
			if <-done == nil {
				n++
			}
		}
		pass(time.Minute)
		if n == 0 || n == 10 || len(f.stored) > n+1 {
			t.Errorf("%d stores succeeded and %d events are stored; at most one may have been in a commit", n, len(f.stored))
		}
	})
}

// Under any failures, a store that returned nil is stored once. A store that returned
// an error is not stored, unless its context ended during the commit.
func TestStoresWhileCommitsFail(t *testing.T) {
	t.Parallel()
	for seed := range uint64(20) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			inBubble(t, func(t *testing.T) { storesWhileCommitsFail(t, rand.New(rand.NewPCG(seed, 1))) })
		})
	}
}

func storesWhileCommitsFail(t *testing.T, r *rand.Rand) {
	t.Helper()
	w, f := newWriter(t)
	f.took = 3 * time.Millisecond
	began := make(map[string]time.Time) // by id: when the first commit that succeeded with it began
	failures := rand.New(rand.NewPCG(r.Uint64(), 2))
	f.failWith(func(b *Batch) error {
		switch failures.IntN(8) {
		case 0:
			return errDisk
		case 1:
			return ErrDamaged
		}
		for _, s := range b.Stores {
			began[s.Event.ID] = time.Now().Add(-f.took)
		}
		return nil
	})
	var mu sync.Mutex
	results := make(map[string]error)
	ended := make(map[string]time.Time)
	var wg sync.WaitGroup
	for i := range 500 {
		id := fmt.Sprint(i)
		ctx := within(t, time.Duration(r.IntN(60))*time.Millisecond)
		wg.Go(func() {
			err := w.Store(ctx, newStore(id))
			mu.Lock()
			defer mu.Unlock()
			results[id], ended[id] = err, time.Now()
		})
		if i%3 == 0 {
			w.Settle(outcomeOf(id))
		}
		time.Sleep(time.Duration(r.IntN(500)) * time.Microsecond)
	}
	wg.Wait()
	f.failWith(nil)
	pass(2 * maxPause)
	must(t, w.Close())
	failed := 0
	for id, err := range results {
		switch {
		case err == nil && f.stored[id] != 1:
			t.Errorf("%s is stored %d times", id, f.stored[id])
		case err != nil && f.stored[id] > 0 && ended[id].Before(began[id]):
			t.Errorf("%s is committed %v after its store returned %v", id, began[id].Sub(ended[id]), err)
		}
		if err != nil {
			failed++
		}
	}
	if failed == 0 || failed == len(results) {
		t.Errorf("%d of %d stores failed: the test needs both successes and failures", failed, len(results))
	}
	if n := len(f.recorded) + len(f.lost); n != 167 {
		t.Errorf("%d outcomes are recorded or lost", n)
	}
}

// If there is too little room for all waiting stores, the oldest are stored while there
// is room.
func TestPartsWithoutRoom(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ outcomes, stores, parts int }{{0, 1, 1}, {0, 2, 2}, {0, 9, 2}, {fewOutcomes, 0, 1}, {fewOutcomes + 1, 0, 2}, {3, 3, 2}} {
		b := &Batch{Outcomes: make([]*Outcome, c.outcomes), Stores: make([]*Store, c.stores), Probe: true}
		for i := range b.Outcomes {
			b.Outcomes[i] = &Outcome{}
		}
		for i := range b.Stores {
			b.Stores[i] = &Store{}
		}
		parts := b.parts(false, true)
		if c.stores == 0 {
			b.Probe = false
			parts = b.parts(false, true)
		}
		var outcomes []*Outcome
		var stores []*Store
		for _, p := range parts {
			outcomes, stores = append(outcomes, p.Outcomes...), append(stores, p.Stores...)
		}
		if len(parts) != c.parts || len(outcomes) != c.outcomes || !slices.Equal(stores, b.Stores) || parts[len(parts)-1].Probe != b.Probe {
			t.Errorf("%+v: %d parts with %d outcomes and %d stores", c, len(parts), len(outcomes), len(stores))
		}
		if alone := b.parts(false, false); c.outcomes == 0 && len(alone) != 1 {
			t.Errorf("%+v: %d parts although there is room", c, len(alone))
		}
	}
}
