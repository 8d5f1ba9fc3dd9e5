package sqlitequeue

import (
	"bytes"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// openElsewhere opens the store in the way another program does, unknown to the store.
func openElsewhere(t *testing.T, path string) *tables.Conn {
	t.Helper()
	c, err := tables.Open(path, url.Values{"mode": {"rw"}}, `PRAGMA busy_timeout=2000`, `PRAGMA wal_autocheckpoint=0`)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Another program, such as a replicator or a SQLite shell, makes checkpoints and writes
// its own tables.
func TestAnotherProgramUsesTheStore(t *testing.T) {
	t.Parallel()
	for _, mode := range []string{"PASSIVE", "FULL", "RESTART", "TRUNCATE"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			w := newTampered(t)
			other := openElsewhere(t, w.path)
			w.must(other.Run(`CREATE TABLE other (n INTEGER)`))
			stop, ended := make(chan struct{}), make(chan error, 1)
			go func() {
				for {
					for _, text := range []string{`INSERT INTO other VALUES (1)`, `PRAGMA wal_checkpoint(` + mode + `)`, `BEGIN; SELECT count(*) FROM other`, `COMMIT`} {
						if err := other.Run(text); err != nil && !strings.Contains(err.Error(), "locked") {
							ended <- fmt.Errorf("%s: %w", text, err)
							return
						}
					}
					select {
					case <-stop:
						ended <- nil
						return
					case <-time.After(2 * time.Millisecond): // otherwise nobody else ever acquires the lock
					}
				}
			}()
			stored := w.storeMany("meanwhile", 500)
			close(stop)
			w.must(<-ended)
			w.mu.Lock()
			if len(w.failures) > 0 || len(w.damage) > 0 {
				t.Errorf("reported: %q, %q", w.failures, w.damage)
			}
			w.mu.Unlock()
			w.must(other.Close())
			w.working(w.older, w.newer, stored)
		})
	}
}

// An overwritten file is not mistaken for a checkpoint by another program because there
// was one before.
func TestOverwrittenAfterACheckpointElsewhere(t *testing.T) {
	t.Parallel()
	w := newTampered(t)
	other := openElsewhere(t, w.path)
	w.must(other.Run(`PRAGMA wal_checkpoint(PASSIVE)`))
	w.must(other.Close())
	w.storeMany("noticed", 1)
	eventually(t, "the event is filed", func() bool { return w.unfiled.Len() == 0 })
	w.waitChecked()
	w.overwrite(w.path, w.backup)
	w.failing()
	w.working(w.older)
}

// Two shared-memory files would destroy the store, so the store is not reopened while
// another program has it open.
func TestDamageWhileAnotherProgramUsesTheStore(t *testing.T) {
	t.Parallel()
	w := newTampered(t)
	other := openElsewhere(t, w.path)
	w.must(other.Run(`BEGIN; SELECT count(*) FROM event`))
	w.must(other.Run(`COMMIT`))
	w.must(os.Remove(w.path + disk.SHM))
	w.failing()
	eventually(t, "the failure reports that another program has it open", func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return strings.Contains(w.failures[len(w.failures)-1], "another program has "+w.path+" open")
	})
	w.must(other.Close())
	w.working(w.older, w.newer)
}

// The tables that Litestream adds neither count as damage nor prevent a backup.
func TestLitestreamsTables(t *testing.T) {
	t.Parallel()
	w := newTampered(t)
	other := openElsewhere(t, w.path)
	w.must(other.Run(`CREATE TABLE _litestream_seq (id INTEGER PRIMARY KEY, seq INTEGER); CREATE TABLE _litestream_lock (id INTEGER)`))
	var b bytes.Buffer
	w.must(w.Backup(t.Context(), &b, nil))
	mustClose(t, w.Queue)
	w.open(w.path) // while the other program has it open
	mustClose(t, w.Queue)
	w.must(other.Close())
	w.put(w.path, b.Bytes())
	w.open(w.path)
	if found := w.reported(); len(found) > 0 {
		t.Errorf("reported: %q", found)
	}
	w.working(w.older, w.newer)
}
