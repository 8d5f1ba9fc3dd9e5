package boltqueue

import (
	"path/filepath"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// A clock that has jumped ahead by more than something is kept is reported once for
// each jump, also at a start.
func TestClockJumpIsReported(t *testing.T) {
	t.Parallel()
	clock, reported := queuetest.NewClock(), make(chan time.Duration, 10)
	o := Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), Now: clock.Now, Elapsed: clock.Elapsed,
		OnClock: func(ahead time.Duration) { reported <- ahead },
	}
	q := mustOpen(t, o)
	want := func(what string, ahead ...time.Duration) {
		t.Helper()
		sweep(t, q)
		sweep(t, q)
		if len(reported) != len(ahead) {
			t.Fatalf("%s: %d reports, want %d", what, len(reported), len(ahead))
		}
		for _, a := range ahead {
			if got := <-reported; got != a {
				t.Errorf("%s: %s ahead, want %s", what, got, a)
			}
		}
	}
	kept := o.Settings.HistoryRetention
	want("a clock that stands")
	clock.Jump(kept - time.Second)
	want("a small jump")
	clock.Jump(2 * time.Minute)
	want("a large one", kept+2*time.Minute-time.Second)
	clock.Advance(time.Minute)
	want("the same jump, later")
	clock.Advance(time.Hour)
	want("a jump that is believed")
	clock.Jump(-2 * kept)
	want("a jump back")
	clock.Jump(2 * kept)
	mustClose(t, q)
	clock.Jump(2 * kept)
	q = mustOpen(t, o)
	want("a start", 2*kept)
}
