package sqlitequeue

import (
	"net/url"
	"slices"
	"strings"
	"testing"
)

// A migration is made once, wholly or not at all, and keeps what is stored.
func TestMigrations(t *testing.T) {
	t.Parallel()
	o := optionsOf(t)
	q := mustOpen(t, o)
	put(t, q, "a", "ehr")
	mustClose(t, q)
	c, err := openConn(o.Path, url.Values{"mode": {"rw"}}, writerPragmas...)
	if err != nil {
		t.Fatal(err)
	}
	version := func() int64 {
		t.Helper()
		n, err := c.number(`PRAGMA user_version`)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	has := func(name string) bool {
		t.Helper()
		n, err := c.number(`SELECT count(*) FROM sqlite_schema WHERE name = ?`, name)
		if err != nil {
			t.Fatal(err)
		}
		return n > 0
	}
	good := `CREATE TABLE further (id INTEGER PRIMARY KEY) STRICT; INSERT INTO further SELECT seq FROM event;`
	bad := `CREATE TABLE half (id INTEGER PRIMARY KEY) STRICT; INSERT INTO missing VALUES (1);`
	with := func(more ...string) []string { return slices.Concat(migrations, more) }

	if err := migrateBy(c, o.Path, with(good, bad)); err == nil || !strings.Contains(err.Error(), "to version 3") || !strings.Contains(err.Error(), o.Path) {
		t.Errorf("a migration that fails: %v", err)
	}
	if version() != 2 || !has("further") || has("half") {
		t.Errorf("version %d, the first made %t, something of the second %t", version(), has("further"), has("half"))
	}
	for range 2 { // the second time there is nothing to do
		if err := migrateBy(c, o.Path, with(good)); err != nil {
			t.Errorf("%v", err)
		}
	}
	if n, err := c.number(`SELECT count(*) FROM further`); n != 1 || err != nil {
		t.Errorf("it was made of %d events, %v", n, err)
	}
	if id, err := c.number(`PRAGMA application_id`); id != applicationID || err != nil {
		t.Errorf("application id %d, %v", id, err)
	}
	if err := c.close(); err != nil {
		t.Fatal(err)
	}
	wantRefused(t, o, o.Path, "version 2", "newer program")
}
