package disk

import (
	"bytes"
	"database/sql/driver"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"modernc.org/sqlite"
)

// With PreventCheckpoint, a main file that was restored in place and the WAL stay
// unchanged when the connections are closed. Without it, both change.
func TestPreventCheckpoint(t *testing.T) {
	t.Parallel()
	for name, prevent := range map[string]bool{"prevented": true, "plain": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "queue.db")
			run := func(c driver.Conn, queries ...string) {
				t.Helper()
				for _, q := range queries {
					_, err := c.(driver.ExecerContext).ExecContext(t.Context(), q, nil)
					mustNot(t, err)
				}
			}
			var conns []driver.Conn
			for range 2 {
				c, err := (&sqlite.Driver{}).Open("file:" + path)
				mustNot(t, err)
				run(c, "PRAGMA wal_autocheckpoint=0", "PRAGMA journal_mode=WAL")
				conns = append(conns, c)
			}
			many := "INSERT INTO event(sealed) WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<100) SELECT randomblob(1700) FROM n"
			run(conns[0], "CREATE TABLE event(seq INTEGER PRIMARY KEY, sealed BLOB)", many, "VACUUM INTO '"+path+".backup'",
				"PRAGMA wal_checkpoint(TRUNCATE)", many)
			run(conns[1], "SELECT count(*) FROM event")
			backup, err := os.ReadFile(path + ".backup")
			mustNot(t, err)
			wal, err := os.ReadFile(path + WAL)
			mustNot(t, err)

			mustNot(t, os.WriteFile(path, backup, 0o600)) // as cp does
			release := func() error { return nil }
			if prevent {
				release, err = PreventCheckpoint(path)
				mustNot(t, err)
			}
			mustNot(t, errors.Join(conns[1].Close(), conns[0].Close(), release()))

			after, err := os.ReadFile(path)
			mustNot(t, err)
			if same := bytes.Equal(after, backup); same != prevent {
				t.Errorf("the restored file is unchanged: %t", same)
			}
			walAfter, err := os.ReadFile(path + WAL)
			if same := err == nil && bytes.Equal(walAfter, wal); same != prevent {
				t.Errorf("the WAL is unchanged: %t (%v)", same, err)
			}
		})
	}
	if _, err := PreventCheckpoint(filepath.Join(t.TempDir(), "queue.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a file: %v", err)
	}
}
