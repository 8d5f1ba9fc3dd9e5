package boltqueue

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

func TestEngine(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, openEngine)
}

func openEngine(t testing.TB, s queue.Settings, clock *queuetest.Clock) *queuetest.Engine {
	t.Helper()
	var failing atomic.Bool
	var q *Queue
	path := filepath.Join(t.TempDir(), "queue.db")
	open := func(s queue.Settings) queue.Queue {
		t.Helper()
		q = mustOpen(t, Options{Path: path, Settings: s, Now: clock.Now, Elapsed: clock.Elapsed, copyBytes: 64, segment: 16 << 10, recent: 3, fault: func(string) error {
			if failing.Load() {
				return errors.New("no space left on device")
			}
			return nil
		}})
		return q
	}
	return checkBlocks(t, &queuetest.Engine{
		Queue:  open(s),
		Flush:  func() { flush(t, q) },
		Sweep:  func() { sweep(t, q) },
		Reopen: func(s queue.Settings) queue.Queue { mustClose(t, q); return open(s) },
		Crash: func(s queue.Settings) queue.Queue {
			t.Helper()
			failing.Store(true)
			// No commit and no write to the journal is under way from here on.
			_ = q.do(context.Background(), func(*txn) error { return nil })
			q.journal.mu.Lock()
			q.journal.mu.Unlock() //nolint:staticcheck // see above
			dead := filepath.Join(t.TempDir(), "queue.db")
			copyFile(t, path, dead)
			copyFile(t, keyFile(path), keyFile(dead))
			if b, err := os.ReadFile(journalPath(path)); err == nil { // it may be removed at any time
				if err := os.WriteFile(journalPath(dead), b, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			_ = q.Close()
			failing.Store(false)
			path = dead
			return open(s)
		},
		FailWrites: failing.Store,
	})
}

func mustOpen(t testing.TB, o Options) *Queue {
	t.Helper()
	q, err := Open(o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { _ = q.Close() })
	return q
}

func mustClose(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

// idle returns when whatever was being committed is.
func idle(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.do(context.Background(), func(*txn) error { return nil }); err != nil {
		t.Fatal(err)
	}
}

func flush(t testing.TB, q *Queue) {
	t.Helper()
	for {
		idle(t, q)
		q.intake.mu.Lock()
		n := len(q.intake.outcomes)
		q.intake.mu.Unlock()
		if n == 0 {
			idle(t, q)
			return
		}
	}
}

func sweep(t testing.TB, q *Queue) {
	t.Helper()
	for s := (&sweeping{queue: q, more: true}); s.more; {
		if err := q.do(context.Background(), s.apply); err != nil {
			t.Fatal(err)
		}
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
