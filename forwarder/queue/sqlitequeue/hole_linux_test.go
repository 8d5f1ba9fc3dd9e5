package sqlitequeue

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// A main file that is truncated while a checkpoint of this process runs is found, even if the
// checkpoint has made it as long as before.
func TestTruncatedDuringACheckpoint(t *testing.T) {
	t.Parallel()
	for name, last := range map[string]bool{"and shorter since": false, "and as long as before": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := &tampered{t: t}
			w.open(filepath.Join(t.TempDir(), "queue.db"))
			w.storeMany("e", 100)
			w.onWriter(func() {
				w.checkpoint("TRUNCATE")
				w.must(w.files.Check())
				main, err := os.ReadFile(w.path)
				w.must(err)
				end := len(main) - tables.PageSize

				w.files.Writing()
				w.must(os.Truncate(w.path, int64(len(main)/2/tables.PageSize*tables.PageSize)))
				if last {
					f, err := os.OpenFile(w.path, os.O_WRONLY, 0)
					w.must(err)
					_, err = f.WriteAt(main[end:], int64(end))
					w.must(errors.Join(err, f.Close()))
				}
				w.files.Written()
				if err := w.files.Check(); !errors.Is(err, disk.ErrTruncated) {
					t.Errorf("error %v, want %v", err, disk.ErrTruncated)
				}
			})
		})
	}
}

// A main file with missing pages is not used again, although it is as long as it was.
func TestMissingPagesAreNotUsed(t *testing.T) {
	t.Parallel()
	w := &tampered{t: t}
	w.open(filepath.Join(t.TempDir(), "queue.db"))
	w.storeMany("e", 100)
	w.onWriter(func() {
		w.checkpoint("TRUNCATE")
		main, err := os.ReadFile(w.path)
		w.must(err)
		w.files.Writing()
		w.must(os.Truncate(w.path, int64(len(main)/2/tables.PageSize*tables.PageSize)))
		w.must(os.Truncate(w.path, int64(len(main))))
		w.files.Written()
	})
	w.failing()
	eventually(t, "the missing pages are reported", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Contains(w.failures[len(w.failures)-1], "pages of it are missing")
	})
}

// It is found too if the next commit begins the WAL anew before the files are checked, as after
// a checkpoint of another process.
func TestTruncatedDuringACheckpointBeforeACommit(t *testing.T) {
	t.Parallel()
	w := &tampered{t: t}
	w.open(filepath.Join(t.TempDir(), "queue.db"))
	w.storeMany("e", 100)
	w.onWriter(func() {
		w.checkpoint("PASSIVE")
		w.must(w.files.Check())
		main, err := os.ReadFile(w.path)
		w.must(err)
		w.files.Writing()
		w.must(os.Truncate(w.path, int64(len(main)/2/tables.PageSize*tables.PageSize)))
		w.must(os.Truncate(w.path, int64(len(main))))
		w.files.Written()
		w.files.Committed()
		w.files.Checked = time.Now().Add(time.Minute) // the commit does not check
	})
	w.must(w.store(t.Context(), "next", 2000))
	var err error
	w.onWriter(func() { err = w.files.Check() })
	if !errors.Is(err, disk.ErrTruncated) {
		t.Errorf("error %v, want %v", err, disk.ErrTruncated)
	}
}

// A main file whose free pages were never written is whole.
func TestHolesOfFreePages(t *testing.T) {
	t.Parallel()
	w := &tampered{t: t}
	w.open(filepath.Join(t.TempDir(), "queue.db"))
	ids := w.storeMany("e", 300)
	if _, err := w.Purge(t.Context(), queue.PurgeSelection{IDs: ids, Force: true}); err != nil {
		t.Fatal(err)
	}
	w.onWriter(func() {
		w.checkpoint("TRUNCATE")
		f, err := os.OpenFile(w.path, os.O_RDWR, 0)
		w.must(err)
		free, err := tables.NeverWritten(f)
		w.must(err)
		if len(free) < 50 {
			t.Errorf("only %d pages need not have been written", len(free))
		}
		size, err := w.files.MainSize()
		w.must(err)
		holes := 0
		w.files.Writing()
		for page := range free {
			if at := (page - 1) * tables.PageSize; at < size {
				w.must(syscall.Fallocate(int(f.Fd()), punchHole, at, tables.PageSize))
				holes++
			}
		}
		found, err := disk.Holes(f)
		w.must(errors.Join(err, f.Close()))
		if holes == 0 || len(found) == 0 {
			t.Errorf("%d holes were made, and %v found", holes, found)
		}
		w.files.Written()
		w.must(w.files.Check())
	})
}

// punchHole makes fallocate(2) delete a part of a file and keep the file's size.
const punchHole = 0x02 | 0x01
