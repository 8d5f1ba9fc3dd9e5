package tables

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

func testConn(t *testing.T, path string, pragmas ...string) *Conn {
	t.Helper()
	c, err := Open(path, url.Values{}, pragmas...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// classify distinguishes damage from temporary errors and from a full disk.
func TestClassify(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a.db")
	c := testConn(t, path, writerPragmas...)
	if err := c.Run(`CREATE TABLE t (a INTEGER PRIMARY KEY, b BLOB NOT NULL) STRICT; INSERT INTO t VALUES (1, zeroblob(9000))`); err != nil {
		t.Fatal(err)
	}
	garbage := filepath.Join(t.TempDir(), "b.db")
	if err := os.WriteFile(garbage, fmt.Appendf(nil, "%4096d", 1), 0o600); err != nil {
		t.Fatal(err)
	}
	interrupted, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	none := func([]driver.Value) error { return nil }
	for name, e := range map[string]struct {
		err     error
		damaged bool
	}{
		"an existing row":   {c.Exec(`INSERT INTO t VALUES (1, x'00')`), true},
		"wrong type":        {c.Exec(`INSERT INTO t VALUES (2, 'text')`), true},
		"not a database":    {testConn(t, garbage).Run(`SELECT * FROM sqlite_schema`), true},
		"no such table":     {c.Run(`SELECT * FROM missing`), false},
		"interrupted":       {c.Query(interrupted, `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n`, none), false},
		"locked by another": {lockedBy(t, path, c), false},
		"full":              {errors.Join(c.Run(`PRAGMA max_page_count=5`), c.Exec(`INSERT INTO t VALUES (3, zeroblob(99000))`)), false},
		"any other":         {errors.New("an error"), false},
	} {
		if e.err == nil || errors.Is(e.err, policy.ErrDamaged) != e.damaged {
			t.Errorf("%s: %v; damaged: %t", name, e.err, !e.damaged)
		}
	}
}

// lockedBy returns the error of a write during another connection's transaction.
func lockedBy(t *testing.T, path string, c *Conn) error {
	t.Helper()
	other := testConn(t, path)
	if err := other.Exec(`BEGIN IMMEDIATE`); err != nil {
		t.Fatal(err)
	}
	err := c.Exec(`INSERT INTO t VALUES (4, x'00')`)
	if err := other.Exec(`ROLLBACK`); err != nil {
		t.Fatal(err)
	}
	return err
}

// A query stops early on ErrStop, returns other errors, and can be executed again.
func TestQuery(t *testing.T) {
	t.Parallel()
	c := testConn(t, ":memory:")
	const numbers = `WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) SELECT i, 'x' || i FROM n`
	failure := errors.New("a failure")
	for _, stop := range []error{ErrStop, failure, nil, ErrStop} {
		var seen []int64
		err := c.Query(t.Context(), numbers, func(row []driver.Value) error {
			s := Scanner{Row: row}
			n, name := s.Int(), s.Text()
			if name != fmt.Sprint("x", n) || s.Err() != nil {
				t.Errorf("row %d is %q", n, name)
			}
			if seen = append(seen, n); n == 3 {
				return stop
			}
			return nil
		}, int64(5))
		want := 5
		if stop != nil {
			want = 3
		}
		if len(seen) != want || errors.Is(err, failure) != errors.Is(stop, failure) || err != nil && !errors.Is(stop, failure) {
			t.Errorf("stopped with %v: %v, %v", stop, seen, err)
		}
	}
	if n, err := c.Number(`SELECT 7`); n != 7 || err != nil {
		t.Errorf("number: %d, %v", n, err)
	}
	if n, err := c.Number(`SELECT 7 WHERE 1 = 2`); n != 0 || err != nil {
		t.Errorf("Number without rows: %d, %v", n, err)
	}
	if err := (&Scanner{Row: []driver.Value{"text"}}); err.Int() != 0 || !errors.Is(err.Err(), policy.ErrDamaged) {
		t.Error("Number of a text returned no error")
	}
}
