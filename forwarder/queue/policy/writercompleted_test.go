package policy

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// completedOf returns the outcome of a completion with an event of so many bytes.
func completedOf(id string, size int) *Outcome {
	e := &event.Event{ID: id, Body: make([]byte, size)}
	return &Outcome{Outcome: queue.Outcome{Delivery: queue.Delivery{EventID: id, Upstream: completion}, State: queue.Delivered, Event: e}}
}

// A batch has at most maxBatchComplete bytes of completed events, or one.
func TestBatchesOfCompletedEvents(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		var batches []int
		f.failWith(func(b *Batch) error {
			n := 0
			for _, o := range b.Outcomes {
				n += o.Bytes()
			}
			if n > maxBatchComplete && len(b.Outcomes) > 1 {
				t.Errorf("a batch of %d outcomes has %d bytes", len(b.Outcomes), n)
			}
			batches = append(batches, len(b.Outcomes))
			return nil
		})
		for i, size := range []int{1 << 20, 1 << 20, 1 << 20, 1 << 20, 20 << 20, 10, 20} {
			w.Settle(completedOf(fmt.Sprint(i), size))
		}
		w.Settle(outcomeOf("small"))
		pass(time.Minute)
		if !slices.Equal(batches, []int{3, 1, 1, 3}) || len(f.recorded) != 8 {
			t.Errorf("batches of %d outcomes", batches)
		}
	})
}

// Completed events that wait for a failing disk stop the claims of completions only.
func TestCrowdedByCompletedEvents(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		f.failWith(func(*Batch) error { return errDisk })
		for i := range 7 {
			if w.Crowded(completion) {
				t.Fatalf("crowded by %d events", i)
			}
			w.Settle(completedOf(fmt.Sprint(i), 10<<20))
			pass(time.Minute)
		}
		if !w.Crowded(completion) || w.Crowded("ehr") || w.Crowded(cleanup) {
			t.Error("the completions can claim, or others cannot")
		}
		f.failWith(nil)
		pass(time.Minute)
		if w.Crowded(completion) || !slices.Equal(f.relieved, []string{completion}) || len(f.recorded) != 7 {
			t.Errorf("%d outcomes are recorded, Relieved was called with %q", len(f.recorded), f.relieved)
		}
	})
}

// Without room for a completed event, the other outcomes are recorded. After a few tries
// of the event alone, the engine decides.
func TestNoRoomForACompletedEvent(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w, f := newWriter(t)
		alone := 0
		f.failWith(func(b *Batch) error {
			if !b.Completes() {
				return nil
			}
			if len(b.Outcomes) == 1 {
				alone++
			}
			return fmt.Errorf("writing: %w", ErrNoRoom)
		})
		for i := range 3 {
			w.Settle(outcomeOf(fmt.Sprint("small", i)))
			w.Settle(completedOf(fmt.Sprint(i), 1000))
		}
		must(t, <-w.store(within(t, time.Minute), "stored"))
		pass(time.Minute)
		slices.Sort(f.recorded)
		if !slices.Equal(f.recorded, []string{"0", "1", "2", "small0", "small1", "small2"}) || !slices.Equal(f.postponed, []string{"0", "1", "2"}) || alone != 3*maxRefused {
			t.Errorf("%q are recorded, NoRoom was called for %q; tried alone %d times", f.recorded, f.postponed, alone)
		}
	})
}
