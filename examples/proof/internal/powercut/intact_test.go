package powercut

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// database makes a database with an index, and returns its path.
func database(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "a 100% sound?.db")
	db, err := sql.Open("sqlite", uri(file))
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(`CREATE TABLE event(seq INTEGER PRIMARY KEY, id TEXT);
		CREATE INDEX byid ON event(id);
		WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i<1000) INSERT INTO event SELECT i, 'event-' || i FROM n`)
	if err := errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestIntact(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		damage func(b []byte) []byte
		says   string // "" means none
	}{
		"nothing":         {func(b []byte) []byte { return b }, ""},
		"a page of zeros": {func(b []byte) []byte { clear(b[3*pageSize : 4*pageSize]); return b }, "is damaged"},
		"truncated":       {func(b []byte) []byte { return b[:len(b)/2] }, "is damaged"},
		"a missing entry": {withoutIndexEntry, "is damaged"},
		"not a database":  {func(b []byte) []byte { copy(b, "SQLite format 4"); return b }, "not a database"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := database(t)
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, tt.damage(b), 0o600); err != nil {
				t.Fatal(err)
			}
			err = intact(t.Context(), file)
			if (err != nil) != (tt.says != "") || err != nil && !strings.Contains(err.Error(), tt.says) {
				t.Errorf("intact() = %v, want %q", err, tt.says)
			}
		})
	}
	if err := intact(t.Context(), filepath.Join(t.TempDir(), "none")); err == nil {
		t.Error("intact() = nil for a missing file")
	}
}

// withoutIndexEntry changes an id in the table, but not in the index.
func withoutIndexEntry(b []byte) []byte {
	at := strings.Index(string(b), "event-777")
	copy(b[at:], "event-77x")
	return b
}
