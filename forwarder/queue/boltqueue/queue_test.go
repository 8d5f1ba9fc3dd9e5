package boltqueue

import (
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Closing ends every goroutine that the queue started. It is not run beside
// other tests, whose goroutines it would count.
func TestCloseEndsGoroutines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "queue.db")
	for range 3 {
		q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
		idle(t, q)
		mustClose(t, q)
	}
	ticks := time.NewTicker(time.Millisecond) // a goroutine takes a moment to end
	defer ticks.Stop()
	for running() {
		<-ticks.C // or the test runs into its deadline, which prints what runs
	}
}

// running reports whether a goroutine of a queue is running.
func running() bool {
	b := make([]byte, 1<<20)
	return strings.Contains(string(b[:runtime.Stack(b, true)]), "boltqueue.(*Queue)")
}

// The sweep comes by itself.
func TestSweepRunsByItself(t *testing.T) {
	t.Parallel()
	s := queue.DefaultSettings()
	s.HistoryRetention, s.DedupeWindow = 20*time.Millisecond, 20*time.Millisecond
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: s})
	store(t, q, "a", "ehr")
	q.Settle(queue.Outcome{Delivery: claim(t, q, "ehr", 1)[0], State: queue.Delivered, Result: queue.Success})
	ticks := time.NewTicker(time.Millisecond)
	defer ticks.Stop()
	for {
		if _, err := q.Event(t.Context(), "a"); err != nil {
			return // or the test runs into its deadline
		}
		<-ticks.C
	}
}

func TestSweepEvery(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		in   queue.Settings
		want time.Duration
	}{
		{"the defaults", queue.DefaultSettings(), time.Second},
		{"one is short", queue.Settings{DedupeWindow: time.Hour, DeadRetention: 300 * time.Millisecond}, 150 * time.Millisecond},
		{"one is very short", queue.Settings{HistoryRetention: time.Nanosecond}, 10 * time.Millisecond},
		{"none", queue.Settings{}, time.Second},
	} {
		if got := sweepEvery(c.in); got != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
