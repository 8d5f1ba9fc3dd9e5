package sqlitequeue

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/verifier/event"
)

// A tampered is a store whose files are changed while it is open.
type tampered struct {
	*Queue
	t *testing.T

	older, newer []string // ids of events: in the main file and in a backup; stored later and only in the WAL

	main   []byte // the main file, as the last checkpoint left it
	backup []byte // with the older events only

	stored int // events with a numbered id

	mu       sync.Mutex
	damage   []string
	failures []string // "" means recovered
}

func newTampered(t *testing.T) *tampered {
	t.Helper()
	w := &tampered{t: t}
	w.open(filepath.Join(t.TempDir(), "queue.db"))
	w.older = w.storeMany("older", 200)
	var b bytes.Buffer
	if err := w.Backup(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
	w.backup = b.Bytes()
	w.onWriter(func() { w.checkpoint("TRUNCATE") })
	w.newer = w.storeMany("newer", 100)
	w.main = read(t, w.path)
	return w
}

func (w *tampered) open(path string) {
	w.t.Helper()
	w.Queue = mustOpen(w.t, Options{
		Path: path, Settings: queue.DefaultSettings(),
		OnDamage: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.damage = append(w.damage, err.Error())
		},
		OnFailure: func(err error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			text := ""
			if err != nil {
				text = err.Error()
			}
			w.failures = append(w.failures, text)
		},
	})
}

// onWriter calls f in the writer's goroutine.
func (w *tampered) onWriter(f func()) {
	w.t.Helper()
	err := w.do(context.Background(), func(t *tx) error {
		t.publish(f)
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

func (w *tampered) storeMany(name string, n int) (ids []string) {
	w.t.Helper()
	for i := range n {
		id := fmt.Sprintf("%s-%d", name, i)
		if err := w.store(w.t.Context(), id, 2000); err != nil {
			w.t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func (w *tampered) store(ctx context.Context, id string, size int) error {
	_, err := w.Store(ctx, queue.Item{Event: newEvent(id, size), Upstreams: []string{"ehr"}})
	return err
}

func newEvent(id string, size int) *event.Event {
	return &event.Event{ID: id, Provider: "soapnoteapi", Type: "com.soapnoteapi.note.generated", ReceivedAt: time.Now(), Body: []byte(strings.Repeat("x", size))}
}

// eventually polls until done returns true.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	for deadline := time.Now().Add(2 * time.Minute); !done(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("waited too long: " + what)
		}
	}
}

// failing waits until stores fail, and checks that all other methods return.
func (w *tampered) failing() {
	w.t.Helper()
	n := 0
	eventually(w.t, "a store fails", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
		defer cancel()
		n++
		id := fmt.Sprintf("during-%d", n)
		err := w.store(ctx, id, 2000)
		if err == nil {
			w.newer = append(w.newer, id)
		}
		return err != nil && !errors.Is(err, context.DeadlineExceeded)
	})
	eventually(w.t, "the failure is reported", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.failures) > 0 && w.failures[len(w.failures)-1] != ""
	})
	_, _ = w.Stats()
	_, _ = w.Events(w.t.Context(), queue.Filter{Limit: 10})
	if err := w.do(w.t.Context(), func(*tx) error { return nil }); err == nil {
		w.t.Error("a change succeeds on unusable files")
	}
}

// working waits until stores succeed, and delivers all events.
func (w *tampered) working(want ...[]string) {
	w.t.Helper()
	eventually(w.t, "a store succeeds", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		return w.store(ctx, "after", 2000) == nil
	})
	w.delivers(append(slices.Concat(want...), "after"))
	began := time.Now()
	if err := w.Close(); err != nil {
		w.t.Errorf("Close: %v", err)
	}
	if took := time.Since(began); took > 5*time.Second {
		w.t.Errorf("Close took %v", took)
	}
	// After a restart the delivered events are still delivered, and the file is
	// undamaged.
	w.open(w.path)
	if s, err := w.Stats(); err != nil || s.Upstreams["ehr"].Pending > 0 {
		w.t.Errorf("after a restart: %+v, %v", s, err)
	}
	err := w.readers.With(w.t.Context(), func(c *tables.Conn) error {
		return c.Query(w.t.Context(), `PRAGMA integrity_check`, func(row []driver.Value) error {
			if row[0] != "ok" {
				w.t.Errorf("integrity_check: %v", row[0])
			}
			return nil
		})
	})
	if err != nil {
		w.t.Error(err)
	}
}

// delivers delivers all waiting events, until the wanted ones are delivered.
func (w *tampered) delivers(want []string) {
	w.t.Helper()
	missing := make(map[string]bool)
	for _, id := range want {
		missing[id] = true
	}
	deadline := time.Now().Add(2 * time.Minute)
	for len(missing) > 0 && time.Now().Before(deadline) {
		if !w.deliverSome(missing) {
			time.Sleep(5 * time.Millisecond)
		}
	}
	for w.deliverSome(missing) {
	}
	if len(missing) > 0 {
		w.t.Errorf("%d of %d events were not delivered: %.300v; reported: %q", len(missing), len(want), missing, w.reported())
	}
	if err := w.writer.Flush(w.t.Context()); err != nil && w.usable() == nil {
		w.t.Error(err)
	}
}

func (w *tampered) deliverSome(missing map[string]bool) bool {
	claimed, err := w.Claim("ehr", time.Now(), queue.Want{First: 50, Retry: 50})
	if err != nil {
		w.t.Logf("Claim: %v", err)
	}
	for _, d := range claimed.Deliveries {
		if _, err := w.Load(d); err != nil {
			w.t.Logf("Load: %v", err)
			w.Release(d)
			continue
		}
		delete(missing, d.EventID)
		w.Settle(queue.Outcome{Delivery: d, At: time.Now(), Result: queue.Success, Status: 200, Used: true, State: queue.Delivered})
	}
	return len(claimed.Deliveries) > 0
}

func (w *tampered) reported() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.damage)
}

// reports waits for a report of damage.
func (w *tampered) reports(words ...string) {
	w.t.Helper()
	defer func() {
		if w.t.Failed() {
			w.t.Logf("reported: %q", w.reported())
		}
	}()
	eventually(w.t, fmt.Sprintf("a report of %q", words), func() bool {
		return slices.ContainsFunc(w.reported(), func(s string) bool {
			return !slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(s, word) })
		})
	})
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// overwrite writes into an existing file.
func (w *tampered) overwrite(name string, b []byte) {
	w.t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = f.WriteAt(b, 0)
	w.must(errors.Join(err, f.Close()))
}

// put replaces a file by another.
func (w *tampered) put(name string, b []byte) {
	w.t.Helper()
	w.must(os.WriteFile(name+".put", b, 0o600))
	w.must(os.Rename(name+".put", name))
}

func (w *tampered) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

func TestTampered(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(w *tampered)
	}{
		{"touched", func(w *tampered) {
			w.must(os.Chtimes(w.path, time.Now(), time.Now().Add(time.Hour)))
			w.waitChecked()
			w.working(w.older, w.newer)
		}},
		{"emptied and restored", func(w *tampered) {
			w.must(os.Truncate(w.path, 0))
			w.failing()
			w.overwrite(w.path, w.main)
			w.working(w.older, w.newer)
		}},
		{"cut in half and restored", func(w *tampered) {
			w.must(os.Truncate(w.path, int64(len(w.main)/2)))
			w.failing()
			w.overwrite(w.path, w.main)
			w.working(w.older, w.newer)
		}},
		{"emptied, then replaced by a backup", func(w *tampered) {
			w.must(os.Truncate(w.path, 0))
			w.failing()
			w.put(w.path, w.backup)
			w.working(w.older, w.newer)
			w.reports("was truncated while in use", "from memory", disk.WAL+".replaced-")
		}},
		{"overwritten by a backup", func(w *tampered) {
			w.must(os.WriteFile(w.path, w.backup, 0o600))
			w.failing()
			w.working(w.older, w.newer)
			w.reports("while in use", "from memory", disk.WAL+".replaced-")
		}},
		{"overwritten by text", func(w *tampered) {
			w.must(os.WriteFile(w.path, []byte("this is not a database\n"), 0o600))
			w.failing()
			w.put(w.path, w.main)
			w.working(w.older, w.newer)
		}},
		{"removed, then replaced by a copy of the main file", func(w *tampered) {
			w.must(os.Remove(w.path))
			w.failing()
			w.put(w.path, w.main)
			w.working(w.older, w.newer)
		}},
		{"removed, then replaced by a backup", func(w *tampered) {
			w.must(os.Remove(w.path))
			w.failing()
			w.put(w.path, w.backup)
			w.working(w.older, w.newer)
			w.reports("was removed while in use", "events that waited only in the previous file")
		}},
		{"replaced by a backup", func(w *tampered) {
			w.put(w.path, w.backup)
			w.failing()
			w.working(w.older, w.newer)
			w.reports("was replaced while in use", "events that waited only in the previous file")
		}},
		{"replaced by a backup, and closed at once", func(w *tampered) {
			w.put(w.path, w.backup)
			began := time.Now()
			w.must(w.Close())
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("Close took %v", took)
			}
			w.open(w.path)
			w.working(w.older, w.newer)
		}},
		{"replaced by text, and moved back", func(w *tampered) {
			w.must(os.Rename(w.path, w.path+".away"))
			w.put(w.path, []byte("this is not a database\n"))
			w.failing()
			w.must(os.Rename(w.path+".away", w.path))
			w.working(w.older, w.newer)
		}},
		{"moved away and back", func(w *tampered) {
			w.must(os.Rename(w.path, w.path+".away"))
			w.failing()
			w.delivers(slices.Concat(w.older, w.newer)) // from the open file
			w.must(os.Rename(w.path+".away", w.path))
			w.working()
		}},
		{"removed, and closed", func(w *tampered) {
			w.must(os.Remove(w.path))
			w.failing()
			began := time.Now()
			_ = w.Close()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("Close took %v", took)
			}
			w.reports("events wait in a copy of it")
			saved, err := filepath.Glob(w.path + ".saved-*")
			if err != nil || len(saved) != 1 {
				w.t.Fatal(saved, err)
			}
			w.must(os.Remove(w.path + disk.WAL))
			w.must(os.Rename(saved[0], w.path))
			w.open(w.path)
			w.working(w.older, w.newer)
		}},
		{"emptied, and closed", func(w *tampered) {
			w.must(os.Truncate(w.path, 0))
			w.failing()
			began := time.Now()
			_ = w.Close()
			if took := time.Since(began); took > 5*time.Second {
				t.Errorf("Close took %v", took)
			}
			w.overwrite(w.path, w.main)
			w.open(w.path)
			w.working(w.older, w.newer)
		}},
		{"WAL removed", func(w *tampered) {
			w.must(os.Remove(w.path + disk.WAL))
			w.reports("queue.db-wal was removed while in use")
			w.working(w.older, w.newer)
		}},
		{"WAL replaced", func(w *tampered) {
			w.put(w.path+disk.WAL, bytes.Repeat([]byte("garbage "), 10000))
			w.reports("queue.db-wal was replaced while in use")
			w.working(w.older, w.newer)
		}},
		{"WAL emptied", func(w *tampered) {
			w.must(os.Truncate(w.path+disk.WAL, 0))
			w.reports("queue.db-wal ", "from memory")
			w.working(w.older, w.newer)
		}},
		{"WAL cut in half", func(w *tampered) {
			info, err := os.Stat(w.path + disk.WAL)
			w.must(err)
			w.must(os.Truncate(w.path+disk.WAL, info.Size()/2))
			w.reports("queue.db-wal ", "from memory")
			w.working(w.older, w.newer)
		}},
		{"WAL emptied after a full checkpoint", func(w *tampered) {
			w.onWriter(func() { w.checkpoint("PASSIVE") })
			w.must(os.Truncate(w.path+disk.WAL, 0))
			w.reports("queue.db-wal was truncated while in use", "nothing is lost")
			w.working(w.older, w.newer)
		}},
		{"WAL emptied and written to before the next check", func(w *tampered) {
			w.onWriter(func() {
				w.must(os.Truncate(w.path+disk.WAL, 0))
				w.files.Checked = time.Now().Add(time.Second)
			})
			w.must(w.store(w.t.Context(), "more", 2000))
			w.onWriter(func() { w.checkpoint("PASSIVE") })
			w.reports("queue.db-wal is damaged", "from memory")
			w.working(w.older, w.newer, []string{"more"})
		}},
		{"WAL overwritten", func(w *tampered) {
			w.overwrite(w.path+disk.WAL, bytes.Repeat([]byte("garbage "), len(read(w.t, w.path+disk.WAL))/8))
			w.reports("queue.db-wal is damaged", "from memory")
			w.working(w.older, w.newer)
		}},
		{"shared memory removed", func(w *tampered) {
			w.must(os.Remove(w.path + disk.SHM))
			w.reports("queue.db-shm was removed")
			w.working(w.older, w.newer)
		}},
		{"shared memory truncated", func(w *tampered) {
			w.must(os.Truncate(w.path+disk.SHM, 0))
			w.reports("queue.db-shm was removed or truncated")
			w.working(w.older, w.newer)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.do(newTampered(t))
			if t.Failed() {
				return
			}
		})
	}
}

// waitChecked waits until the files have been checked again.
func (w *tampered) waitChecked() {
	w.t.Helper()
	began := time.Now()
	eventually(w.t, "the files are checked", func() bool {
		done := false
		w.onWriter(func() { done = w.files.Checked.After(began) })
		return done
	})
}
