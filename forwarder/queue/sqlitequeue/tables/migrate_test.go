package tables

import (
	"errors"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// A migration runs once, completely or not at all, and keeps the stored events.
func TestMigrations(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	if err := Create(path); err != nil {
		t.Fatal(err)
	}
	c, err := OpenWriter(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Insert(`INSERT`+IntoEvent, EventRow(&Record{Seq: 1, Event: policy.Event{ID: "a"}})); err != nil {
		t.Fatal(err)
	}
	version := func() int64 {
		t.Helper()
		n, err := c.Number(`PRAGMA user_version`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	has := func(name string) bool {
		t.Helper()
		n, err := c.Number(`SELECT count(*) FROM sqlite_schema WHERE name = ?`, name)
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	good := `CREATE TABLE further (id INTEGER PRIMARY KEY) STRICT; INSERT INTO further SELECT seq FROM event;`
	bad := `CREATE TABLE half (id INTEGER PRIMARY KEY) STRICT; INSERT INTO missing VALUES (1);`
	with := func(more ...string) []string { return slices.Concat(migrations, more) }

	if err := migrateBy(c, path, with(good, bad)); err == nil || !strings.Contains(err.Error(), "to version 4") || !strings.Contains(err.Error(), path) {
		t.Errorf("a migration that fails: %v", err)
	}
	if version() != int64(len(migrations))+1 || !has("further") || has("half") {
		t.Errorf("version %d; table of the first migration: %t, of the failed second: %t", version(), has("further"), has("half"))
	}
	for range 2 { // the second time there is nothing to do
		if err := migrateBy(c, path, with(good)); err != nil {
			t.Errorf("%v", err)
		}
	}
	if n, err := c.Number(`SELECT count(*) FROM further`); n != 1 || err != nil {
		t.Errorf("the migration saw %d events, %v", n, err)
	}
	if id, err := c.Number(`PRAGMA application_id`); id != applicationID || err != nil {
		t.Errorf("application id %d, %v", id, err)
	}
	if err := UseSchema(c, path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "version 3") || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("a newer version: %v", err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

// A store of each older version is updated with its events. Before that it can be checked as it is.
func TestUpdateOfOlderVersions(t *testing.T) {
	t.Parallel()
	for version := 1; version < len(migrations); version++ {
		path := filepath.Join(t.TempDir(), "queue.db")
		c, err := Open(path, url.Values{}, createPragmas...)
		if err != nil {
			t.Fatal(err)
		}
		if err := migrateBy(c, path, migrations[:version]); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(CheckSchema(c, path), c.Insert(`INSERT`+IntoEvent, EventRow(&Record{Seq: 1, Event: policy.Event{ID: "a"}}))); err != nil {
			t.Fatal(err)
		}
		if heads, err := ReadAudit(c); err != nil || heads != nil {
			t.Errorf("version %d has the heads %v, %v", version, heads, err)
		}
		if err := UseSchema(c, path); err != nil {
			t.Errorf("version %d: %v", version, err)
		}
		if n, err := c.Number(`PRAGMA user_version`); n != int64(len(migrations)) || err != nil {
			t.Errorf("version %d became %d, %v", version, n, err)
		}
		if n, err := c.Number(`SELECT count(*) FROM event`); n != 1 || err != nil {
			t.Errorf("version %d: %d events, %v", version, n, err)
		}
		if err := c.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
