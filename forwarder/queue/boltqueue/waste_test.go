package boltqueue

import (
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestWaste(t *testing.T) {
	t.Parallel()
	start := time.Unix(1_700_000_000, 0)
	w := waste{enough: 1000}
	for _, c := range []struct {
		name        string
		after       time.Duration
		free, inUse int
		want        bool
	}{
		{"little is free", 0, 999, 1, false},
		{"much is in use", 20 * time.Second, 3000, 1001, false},
		{"too much is free", 40 * time.Second, 3000, 1000, false},
		{"not for long yet", 49 * time.Second, 3000, 1000, false},
		{"for long enough", 50 * time.Second, 3000, 1000, true},
		{"it was used again meanwhile", 51 * time.Second, 900, 3100, false},
		{"and is free again", 52 * time.Second, 3000, 10, false},
		{"for long enough once more", 62 * time.Second, 3000, 10, true},
	} {
		if got := w.look(start.Add(c.after), c.free, c.inUse); got != c.want {
			t.Errorf("%s: look is %v, want %v", c.name, got, c.want)
		}
	}
	failed := start.Add(62 * time.Second)
	w.failed(failed)
	if w.look(failed.Add(wasteRetry-1), 3000, 10) {
		t.Error("a compaction that failed is tried again too soon")
	}
	if !w.look(failed.Add(wasteRetry), 3000, 10) {
		t.Error("a compaction that failed is not tried again")
	}
}

// A file that has been nearly empty for a while is compacted by itself, and
// where that fails, tried again.
func TestCompactUnasked(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	var ahead, tries atomic.Int64
	q := mustOpen(t, Options{
		Path: path, Settings: queue.DefaultSettings(), waste: 100,
		Now: func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) },
		fault: func(stage string) error {
			if stage == beforeRename && tries.Add(1) == 1 {
				return errors.New("no room")
			}
			return nil
		},
	})
	large(t, q, "e", 1000)
	grown := sizeOf(t, path)
	deliver(t, q, 990)
	for sizeOf(t, path) > grown/2 { // or the test runs into its deadline
		ahead.Add(int64(time.Minute))
		time.Sleep(100 * time.Millisecond)
	}
	if n := tries.Load(); n < 2 {
		t.Errorf("the copy was put into place %d times, want a failure first", n)
	}
	wantSound(t, q)
	if ds := claim(t, q, "ehr", 100); len(ds) != 10 {
		t.Errorf("%d deliveries are due, want 10", len(ds))
	}
}

// Whoever asks for a compaction that goes on already by itself gets its answer.
func TestCompactJoins(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), copyBytes: 1})
	large(t, q, "e", 300)
	unasked := newTask(func(*txn) error { return nil })
	o := newCompacting(t.Context(), q)
	if err := q.intake.do(&starting{task: unasked, start: func() error { return q.startCompaction(t.Context(), nil) }}); err != nil {
		t.Fatal(err)
	}
	if err := q.intake.do(o); err != nil {
		t.Fatal(err)
	}
	if end := <-o.answer; end.err != nil || end.result.After == 0 {
		t.Errorf("it ended with %+v", end)
	}
	wantSound(t, q)
}

// A starting does something in the committing goroutine.
type starting struct {
	*task
	start func() error
}

func (s *starting) done(error) { s.answer <- s.start() }
