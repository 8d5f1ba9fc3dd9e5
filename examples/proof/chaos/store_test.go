package main

import (
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// newStore returns a rig with a database like the queue's, with this number of payloads, and a connection that
// keeps its WAL.
func newStore(t *testing.T, payloads int) (*rig, *sql.DB) {
	t.Helper()
	r := &rig{dir: t.TempDir()}
	db, err := sql.Open("sqlite", "file:"+r.queueFile()+"?_pragma=journal_mode(WAL)&_pragma=secure_delete(1)")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	for _, statement := range []string{
		"CREATE TABLE payload(seq INTEGER PRIMARY KEY, id TEXT, sealed BLOB)",
		"CREATE INDEX byid ON payload(id)",
		"CREATE INDEX empty ON payload(id) WHERE seq < 0",
	} {
		if _, err := db.ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	for n := range payloads {
		if _, err := db.ExecContext(t.Context(), "INSERT INTO payload VALUES(?, 'event-' || ?, randomblob(3000))", n, n); err != nil {
			t.Fatal(err)
		}
	}
	return r, db
}

func TestFindPayloads(t *testing.T) {
	t.Parallel()
	const number = 20
	r, db := newStore(t, number)
	payloads, err := r.sealed(t.Context())
	if err != nil || payloads.number != number {
		t.Fatalf("sealed() = %d payloads, %v, want %d", payloads.number, err, number)
	}
	if n, err := r.find(payloads); err != nil || n != number {
		t.Errorf("find() = %d, %v, want %d", n, err, number)
	}
	if _, err := db.ExecContext(t.Context(), "DELETE FROM payload"); err != nil {
		t.Fatal(err)
	}
	if n, err := r.find(payloads); err != nil || n != number {
		t.Errorf("find() = %d, %v, want the %d that the WAL still has", n, err, number)
	}
	if _, err := db.ExecContext(t.Context(), "PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		t.Fatal(err)
	}
	if n, err := r.find(payloads); err != nil || n != 0 {
		t.Errorf("find() = %d, %v, want none", n, err)
	}
}

func TestDamagePage(t *testing.T) {
	t.Parallel()
	for name, whole := range map[string]bool{"zeros": true, "a byte": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, db := newStore(t, 20)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			pages, err := r.indexes(t.Context())
			if err != nil || len(pages) != 1 || pages[0].index != "byid" {
				t.Fatalf("indexes() = %v, %v, want the one with entries", pages, err)
			}
			if err := intact(t.Context(), r.queueFile()); err != nil {
				t.Errorf("intact() = %v before the damage", err)
			}
			if err := r.damagePage(pages[0].number, whole); err != nil {
				t.Fatal(err)
			}
			if err := intact(t.Context(), r.queueFile()); err == nil {
				t.Error("intact() = nil after the damage")
			}
		})
	}
}

func TestFlipInWAL(t *testing.T) {
	t.Parallel()
	r, _ := newStore(t, 20)
	for n := range 16 {
		before, err := os.ReadFile(r.walFile())
		if err != nil {
			t.Fatal(err)
		}
		where, err := r.flipInWAL(n)
		if err != nil || where == "" {
			t.Fatalf("flipInWAL() = %q, %v", where, err)
		}
		after, err := os.ReadFile(r.walFile())
		if err != nil {
			t.Fatal(err)
		}
		if n := differences(before, after); n != 1 {
			t.Errorf("%s: %d bytes have changed", where, n)
		}
		if err := os.WriteFile(r.walFile(), before, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Truncate(r.walFile(), walHeader); err != nil {
		t.Fatal(err)
	}
	if _, err := r.flipInWAL(0); !errors.Is(err, errFewCommits) {
		t.Errorf("flipInWAL() = %v for a WAL without frames, want %v", err, errFewCommits)
	}
}

func differences(a, b []byte) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n + len(b) - len(a)
}

func TestWALFrames(t *testing.T) {
	t.Parallel()
	r, _ := newStore(t, 5)
	wal, err := os.ReadFile(r.walFile())
	if err != nil {
		t.Fatal(err)
	}
	n, size := walFrames(wal)
	if all := (len(wal) - walHeader) / (frameHeader + size); n != all || n < 5 || size != 4096 {
		t.Errorf("walFrames() = %d of %d bytes, want all %d", n, size, all)
	}
	wal[walHeader+3*(frameHeader+size)+frameSalts]++ // the following frames are from an earlier generation
	if n, _ := walFrames(wal); n != 3 {
		t.Errorf("walFrames() = %d, want 3", n)
	}
	if n, _ := walFrames(nil); n != 0 {
		t.Errorf("walFrames() = %d for no WAL", n)
	}
}

func TestOnlyStore(t *testing.T) {
	t.Parallel()
	r, _ := newStore(t, 1)
	if err := os.WriteFile(r.keyFile(), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.onlyStore(); err != nil {
		t.Errorf("onlyStore() = %v", err)
	}
	if err := os.WriteFile(r.queueFile()+".compact", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := r.onlyStore(); err == nil || !strings.Contains(err.Error(), "queue.db.compact") {
		t.Errorf("onlyStore() = %v, want an error that names the file", err)
	}
}

// Every tampering can be undone.
func TestTamperings(t *testing.T) {
	t.Parallel()
	for _, how := range tamperings {
		if how.undo == nil {
			continue
		}
		t.Run(how.name, func(t *testing.T) {
			t.Parallel()
			r, db := newStore(t, 20)
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			s, err := r.snapshot()
			if err != nil {
				t.Fatal(err)
			}
			tampered := &tampered{rig: r, other: []byte("SQLite format 3"), saved: s}
			if err := how.do(t.Context(), tampered); err != nil {
				t.Fatal(err)
			}
			if now, err := r.snapshot(); err == nil && string(now.main) == string(s.main) {
				t.Error("the file has not changed")
			}
			if err := how.undo(tampered); err != nil {
				t.Fatal(err)
			}
			now, err := r.snapshot()
			if err != nil || string(now.main) != string(s.main) {
				t.Errorf("the file is not restored: %v", err)
			}
			if _, err := os.Stat(filepath.Join(r.dir, "away")); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("a file is left: %v", err)
			}
		})
	}
}
