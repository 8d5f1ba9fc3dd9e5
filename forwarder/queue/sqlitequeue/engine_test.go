package sqlitequeue

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/seal"
)

func TestEngine(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, openEngine)
}

func openEngine(t testing.TB, s queue.Settings, clock *queuetest.Clock) *queuetest.Engine {
	t.Helper()
	var failing atomic.Bool
	var q *Queue
	var keys []seal.Key // none: the automatic key
	var damaged func(error)
	path := filepath.Join(t.TempDir(), "queue.db")
	open := func(s queue.Settings) queue.Queue {
		t.Helper()
		q = mustOpen(t, Options{Path: path, Keys: keys, Settings: s, Now: clock.Now, Elapsed: clock.Elapsed, OnDamage: damaged, fault: func(string) error {
			if failing.Load() {
				return errors.New("no space left on device")
			}
			return nil
		}})
		return q
	}
	return &queuetest.Engine{
		Queue:  open(s),
		Flush:  func() { flush(t, q) },
		Sweep:  func() { sweep(t, q) },
		Reopen: func(s queue.Settings) queue.Queue { mustClose(t, q); return open(s) },
		Crash: func(s queue.Settings) queue.Queue {
			t.Helper()
			failing.Store(true)
			idle(q)
			dead := filepath.Join(t.TempDir(), "queue.db")
			copyStore(t, path, dead)
			_ = q.Close()
			failing.Store(false)
			path = dead
			return open(s)
		},
		DamageRecent: func(s queue.Settings, id string) (queue.Queue, func() []error) {
			t.Helper()
			failing.Store(true)
			idle(q)
			dead := filepath.Join(t.TempDir(), "queue.db")
			copyStore(t, path, dead)
			_ = q.Close()
			failing.Store(false)
			if record := []byte(id + "soapnoteapi"); !flip(t, dead+disk.WAL, record) && !flip(t, dead, record) { // the columns id and provider
				t.Fatalf("event %s is not in the files", id)
			}
			path = dead
			var r reports
			damaged = r.add
			open(s)
			return q, func() (all []error) {
				for _, text := range r.get() {
					all = append(all, errors.New(text))
				}
				return all
			}
		},
		FailWrites: failing.Store,
		Rotate: func() error {
			next := seal.NewKey()
			if err := rotate(q, next, keys); err != nil {
				return err
			}
			keys = []seal.Key{next}
			return nil
		},
	}
}

// flip changes bytes at the last occurrence of text in a file, and reports whether
// there is one.
func flip(t testing.TB, path string, text []byte) bool {
	t.Helper()
	b := readFile(t, path)
	at := bytes.LastIndex(b, text)
	if at < 0 {
		return false
	}
	for i := range 40 {
		b[at+i] ^= 0x55
	}
	writeFile(t, path, b)
	return true
}

// rotate puts a key first, waits until no payload is sealed with another, and removes
// the other keys and the automatic key.
func rotate(q *Queue, next seal.Key, older []seal.Key) error {
	if err := q.SetKeys(append([]seal.Key{next}, older...)); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); total(q.counts().Keys()) != q.counts().Keys()[next.Fingerprint()]; {
		if time.Now().After(end) {
			return errors.New("the stored events were not resealed within a minute")
		}
		time.Sleep(time.Millisecond)
	}
	if err := os.Remove(q.path + disk.Key); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return q.SetKeys([]seal.Key{next})
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

// idle returns after the batch that is being committed.
func idle(q *Queue) { _ = q.writer.Do(context.Background(), nil) }

func flush(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.writer.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func sweep(t testing.TB, q *Queue) {
	t.Helper()
	for more := true; more; {
		err := q.do(context.Background(), func(tx *tx) (err error) {
			more, err = tx.sweep()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// copyStore copies the files of a store that is not being changed.
func copyStore(t testing.TB, from, to string) {
	t.Helper()
	for _, suffix := range []string{"", "-wal", ".key"} {
		copyFile(t, from+suffix, to+suffix)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if errors.Is(err, os.ErrNotExist) {
		return
	}
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
