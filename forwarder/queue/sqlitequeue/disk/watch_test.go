package disk

import (
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"modernc.org/sqlite"
)

// past is a time before all writes of a test.
var past = time.Date(2020, 1, 2, 3, 4, 5, 6, time.UTC)

// newTestWatch returns a watch of two files of 100 bytes.
func newTestWatch(t *testing.T) *Watch {
	t.Helper()
	path := filepath.Join(t.TempDir(), "queue.db")
	for _, name := range []string{path, path + WAL} {
		writeFile(t, name, strings.Repeat("x", 100))
		mustNot(t, os.Chtimes(name, past, past))
	}
	w, err := NewWatch(path)
	mustNot(t, err)
	mustNot(t, w.Check())
	return w
}

func replaceFile(t *testing.T, name string) {
	t.Helper()
	writeFile(t, name+".new", strings.Repeat("x", 100))
	mustNot(t, os.Chtimes(name+".new", past, past))
	mustNot(t, os.Rename(name+".new", name))
}

func TestWatch(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		do   func(t *testing.T, path string)
		main error // the expected errors for the main file and for the WAL
		wal  error
	}{
		{"nothing", func(*testing.T, string) {}, nil, nil},
		{"removed", func(t *testing.T, p string) { mustNot(t, os.Remove(p)) }, ErrRemoved, ErrRemoved},
		{"moved", func(t *testing.T, p string) { mustNot(t, os.Rename(p, p+".old")) }, ErrRemoved, ErrRemoved},
		{"replaced", replaceFile, ErrReplaced, ErrReplaced},
		{"removed and created", func(t *testing.T, p string) {
			mustNot(t, os.Rename(p, p+".old"))
			writeFile(t, p, "")
		}, ErrReplaced, ErrReplaced},
		{"emptied", func(t *testing.T, p string) { mustNot(t, os.Truncate(p, 0)) }, ErrTruncated, ErrTruncated},
		{"cut short", func(t *testing.T, p string) { mustNot(t, os.Truncate(p, 99)) }, ErrTruncated, ErrTruncated},
		{"overwritten by a shorter one", func(t *testing.T, p string) { writeFile(t, p, "x") }, ErrTruncated, ErrTruncated},
		{"overwritten", func(t *testing.T, p string) { writeFile(t, p, strings.Repeat("y", 100)) }, ErrOverwritten, nil},
		{"overwritten by a longer one", func(t *testing.T, p string) { writeFile(t, p, strings.Repeat("y", 200)) }, ErrOverwritten, nil},
	} {
		for _, suffix := range []string{"", WAL} {
			want := c.main
			if suffix != "" {
				want = c.wal
			}
			t.Run(c.name+suffix, func(t *testing.T) {
				t.Parallel()
				w := newTestWatch(t)
				c.do(t, w.path+suffix)
				for range 2 {
					err := w.Check()
					if !errors.Is(err, want) || want == nil && err != nil {
						t.Fatalf("check = %v, want %v", err, want)
					}
					if err != nil && !strings.Contains(err.Error(), w.path+suffix+" was ") {
						t.Errorf("the error %v does not contain the file name", err)
					}
					if err != nil && suffix == "" && !strings.Contains(err.Error(), "restore it from a backup") {
						t.Errorf("the error %v does not describe what to do", err)
					}
				}
			})
		}
	}
}

// ErrOverwritten is also ErrReplaced.
func TestOverwrittenIsReplaced(t *testing.T) {
	t.Parallel()
	if !errors.Is(ErrOverwritten, ErrReplaced) || errors.Is(ErrReplaced, ErrOverwritten) {
		t.Error("ErrOverwritten does not wrap ErrReplaced")
	}
}

// The engine's own changes are not errors after Note.
func TestWatchNote(t *testing.T) {
	t.Parallel()
	w := newTestWatch(t)
	checkpoint := func() {
		mustNot(t, os.WriteFile(w.path, make([]byte, 300), 0o600))
		mustNot(t, os.Truncate(w.path+WAL, 0))
	}
	w.Writing()
	checkpoint()
	mustNot(t, w.Check())
	mustNot(t, w.Note())
	mustNot(t, w.Check())

	mustNot(t, os.Truncate(w.path, 200))
	if err := w.Check(); !errors.Is(err, ErrTruncated) {
		t.Errorf("after a note: %v", err)
	}
	mustNot(t, w.Note()) // a vacuum
	mustNot(t, w.Check())

	// Note returns the error for a file that was replaced while the engine wrote, and
	// does not accept it.
	w.Writing()
	replaceFile(t, w.path)
	for _, err := range []error{w.Check(), w.Note(), w.Check(), w.Note()} {
		if !errors.Is(err, ErrReplaced) {
			t.Errorf("replaced while the engine wrote: %v", err)
		}
	}
}

// The WAL appears with the first commit and grows with each.
func TestWatchGrowingWAL(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	writeFile(t, path, "x")
	w, err := NewWatch(path)
	mustNot(t, err)
	mustNot(t, w.Check())
	for _, size := range []int64{0, 100, 200} {
		f, err := os.OpenFile(path+WAL, os.O_RDWR|os.O_CREATE, 0o600)
		mustNot(t, err)
		mustNot(t, errors.Join(f.Truncate(size), f.Close()))
		mustNot(t, w.Check())
	}
	mustNot(t, os.Truncate(path+WAL, 150))
	if err := w.Check(); !errors.Is(err, ErrTruncated) {
		t.Errorf("cut short after growing: %v", err)
	}
	mustNot(t, os.Remove(path+WAL))
	if err := w.Check(); !errors.Is(err, ErrRemoved) {
		t.Errorf("removed after growing: %v", err)
	}
}

func TestWatchWithoutFile(t *testing.T) {
	t.Parallel()
	if w, err := NewWatch(filepath.Join(t.TempDir(), "queue.db")); w != nil || !errors.Is(err, ErrRemoved) {
		t.Errorf("NewWatch = %v, %v", w, err)
	}
	w := newTestWatch(t)
	for _, suffix := range []string{"", WAL} {
		w.stat = func(name string) (fs.FileInfo, error) {
			if name == w.path+suffix {
				return nil, fs.ErrPermission
			}
			return os.Stat(name)
		}
		if err := w.Check(); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("stat of %q is refused: %v", suffix, err)
		}
	}
}

// A file system that hangs delays a check by 2 s, and blocks one goroutine.
func TestWatchHangs(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newTestWatch(t)
		var mu sync.Mutex
		calls := 0
		hang := make(chan struct{})
		w.stat = func(name string) (fs.FileInfo, error) {
			mu.Lock()
			calls++
			mu.Unlock()
			<-hang
			return os.Stat(name)
		}
		began := time.Now()
		errs := make(chan error)
		for range 3 {
			go func() { errs <- w.Check() }()
		}
		for range 3 {
			if err := <-errs; err == nil || !strings.Contains(err.Error(), "has not answered") {
				t.Errorf("check: %v", err)
			}
		}
		if d := time.Since(began); d != watchWait {
			t.Errorf("check took %v", d)
		}
		if err := errors.Join(w.Check(), w.Note()); err == nil || time.Since(began) != watchWait {
			t.Errorf("a check after that: %v after %v", err, time.Since(began)) // does not wait again
		}
		mu.Lock()
		if calls != 1 {
			t.Errorf("%d calls hang", calls)
		}
		mu.Unlock()
		close(hang)
		synctest.Wait()
		mustNot(t, w.Check())
	})
}

// A check that began before a write of the engine does not report the write.
func TestWatchDuringEngineWrites(t *testing.T) {
	t.Parallel()
	w := newTestWatch(t)
	stop := make(chan struct{})
	var checks sync.WaitGroup
	for range 2 {
		checks.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := w.Check(); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	for i := range 50 {
		w.Writing()
		writeFile(t, w.path, strings.Repeat("x", 1+i%7*100))
		mustNot(t, os.Truncate(w.path+WAL, int64(i%5*100)))
		mustNot(t, w.Note())
	}
	close(stop)
	checks.Wait()
}

// In WAL mode SQLite writes the main file only in a checkpoint: Check never reports
// such a write of this process as another's.
func TestWatchOfDatabase(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	connect := func() driver.Conn {
		t.Helper()
		c, err := (&sqlite.Driver{}).Open("file:" + path)
		mustNot(t, err)
		return c
	}
	c := connect()
	run := func(c driver.Conn, queries ...string) {
		t.Helper()
		for _, q := range queries {
			_, err := c.(driver.ExecerContext).ExecContext(t.Context(), q, nil)
			mustNot(t, err)
		}
	}
	run(c, "PRAGMA wal_autocheckpoint=0", "PRAGMA auto_vacuum=INCREMENTAL", "PRAGMA journal_mode=WAL", "PRAGMA secure_delete=ON",
		"CREATE TABLE event(seq INTEGER PRIMARY KEY, sealed BLOB)", "PRAGMA wal_checkpoint(TRUNCATE)")
	mustNot(t, os.Chtimes(path, past, past)) // so that a write is visible even if the clock is coarse
	w, err := NewWatch(path)
	mustNot(t, err)
	many := "INSERT INTO event(sealed) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<300) SELECT randomblob(1700) FROM n"
	for i := range 2 {
		run(c, many, "UPDATE event SET sealed=NULL WHERE seq%3=0", "DELETE FROM event WHERE seq%5<4", "PRAGMA incremental_vacuum(100)", "PRAGMA quick_check")
		reader := connect()
		run(reader, "SELECT count(*) FROM event", "VACUUM INTO '"+filepath.Join(dir, "copy"+string(rune('0'+i)))+"'")
		mustNot(t, reader.Close())
		mustNot(t, w.Check())
		for _, mode := range []string{"PASSIVE", "TRUNCATE"} {
			w.Writing()
			run(c, "PRAGMA wal_checkpoint("+mode+")")
			mustNot(t, w.Check())
			mustNot(t, w.Note())
			mustNot(t, w.Check())
		}
	}
	run(c, many)
	mustNot(t, w.Check())
	run(c, "PRAGMA wal_checkpoint(PASSIVE)") // not announced: as if another process had written
	if err := w.Check(); !errors.Is(err, ErrOverwritten) {
		t.Errorf("after a checkpoint that was not announced: %v", err)
	}
	mustNot(t, c.Close())
}
