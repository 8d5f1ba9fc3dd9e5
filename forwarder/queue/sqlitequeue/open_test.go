package sqlitequeue

import (
	"bytes"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// stopped returns the path of a closed store with some events.
func stopped(t *testing.T) string {
	t.Helper()
	w := &tampered{t: t}
	w.open(filepath.Join(t.TempDir(), "queue.db"))
	w.storeMany("e", 20)
	mustClose(t, w.Queue)
	return w.path
}

// command executes SQL on a file that is not open.
func command(t *testing.T, path string, texts ...string) {
	t.Helper()
	c, err := tables.Open(path, url.Values{}, texts...)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
}

func TestStartRefused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		make  func(t *testing.T, path string)
		keys  []seal.Key
		words []string
	}{
		{"empty", func(t *testing.T, path string) {
			if err := os.Truncate(path, 0); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"it is empty; restore it, or delete it to start with an empty store"}},
		{"another program's database", func(t *testing.T, path string) {
			_ = os.Remove(path)
			command(t, path, `CREATE TABLE a (b)`, `INSERT INTO a VALUES (1)`)
		}, nil, []string{"the database of another program"}},
		{"text", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("this is not a database\n", 100)), 0o600); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"not a SQLite database"}},
		{"newer", func(t *testing.T, path string) { command(t, path, `PRAGMA user_version=99`) }, nil, []string{"it has version 99, but this program supports versions up to 2; open it with the newer program"}},
		{"missing, with a WAL", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.WriteFile(path+disk.WAL, []byte("log"), 0o600)); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"it is missing, but its WAL exists; restore it, or delete ", "-wal to start with an empty store"}},
		{"another key", func(t *testing.T, path string) {
			if err := os.Remove(path + disk.Key); err != nil {
				t.Fatal(err)
			}
		}, []seal.Key{seal.Key(bytes.Repeat([]byte{9}, 32))}, []string{"20 events in it are sealed with a key that is not among those given; add the older key after the new one in encryption_key"}},
		{"without its key", func(t *testing.T, path string) {
			if err := os.Remove(path + disk.Key); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"20 events in it are sealed, encryption_key is not given and ", ".key is missing"}},
		{"a directory", func(t *testing.T, path string) {
			if err := errors.Join(os.Remove(path), os.Mkdir(path, 0o700)); err != nil {
				t.Fatal(err)
			}
		}, nil, []string{"not a regular file"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := stopped(t)
			c.make(t, path)
			before, _ := os.ReadFile(path)
			for range 2 {
				q, err := Open(Options{Path: path, Keys: c.keys, Settings: queue.DefaultSettings()})
				if err == nil {
					_ = q.Close()
					t.Fatal("Open succeeded")
				}
				words := append(c.words, path)
				if c.name != "a directory" {
					words = append(words, "caddy scribegate export --path "+path)
				}
				for _, word := range words {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("the error %q does not contain %q", err, word)
					}
				}
				if after, _ := os.ReadFile(path); !bytes.Equal(before, after) {
					t.Error("the file was changed")
				}
			}
		})
	}
}

// With the wrong key a start changes nothing, even if a killed process has left a WAL.
func TestWrongKeyWithWAL(t *testing.T) {
	t.Parallel()
	w := newTampered(t)
	path := filepath.Join(t.TempDir(), "queue.db")
	w.onWriter(func() { copyStore(t, w.path, path) })
	if err := os.Rename(path+disk.Key, path+disk.Key+".away"); err != nil {
		t.Fatal(err)
	}
	main, log := read(t, path), read(t, path+disk.WAL)
	q, err := Open(Options{Path: path, Keys: []seal.Key{seal.Key(bytes.Repeat([]byte{9}, 32))}, Settings: queue.DefaultSettings()})
	if err == nil {
		_ = q.Close()
		t.Fatal("Open succeeded")
	}
	if !bytes.Equal(main, read(t, path)) || !bytes.Equal(log, read(t, path+disk.WAL)) {
		t.Error("the files were changed")
	}
	if err := os.Rename(path+disk.Key+".away", path+disk.Key); err != nil {
		t.Fatal(err)
	}
	w2 := &tampered{t: t}
	w2.open(path)
	w2.working(w.older, w.newer)
}

// A WAL that is missing after a crash is reported, and the events of the main file are
// delivered.
func TestStartWithoutWAL(t *testing.T) {
	t.Parallel()
	w := newTampered(t)
	path := filepath.Join(t.TempDir(), "queue.db")
	w.onWriter(func() { copyStore(t, w.path, path) })
	if err := os.Remove(path + disk.WAL); err != nil {
		t.Fatal(err)
	}
	w2 := &tampered{t: t}
	w2.open(path)
	w2.reports(path, "-wal) is missing", "may be missing")
	w2.working(w.older)
	if n := len(w2.reported()); n != 1 {
		t.Errorf("%d reports, although the last run ended cleanly: %q", n, w2.reported())
	}
}

// Open reports a copy of a store that is in use, and does not report a restart.
func TestOpenCopy(t *testing.T) {
	t.Parallel()
	w := newTampered(t)
	path := filepath.Join(t.TempDir(), "queue.db")
	w.onWriter(func() { copyStore(t, w.path, path) })
	of := ""
	open := func(path string) {
		q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), OnCopy: func(s string) { of = s }})
		mustClose(t, q)
	}
	open(path)
	if of != w.path {
		t.Errorf("reported as a copy of %q, want %q", of, w.path)
	}
	of = ""
	open(path)
	mustClose(t, w.Queue)
	open(w.path)
	if of != "" {
		t.Errorf("a restart is reported as a copy of %q", of)
	}
}

// A symbolic link is resolved once: all files are next to its target, whose mode is
// kept.
func TestOpenLink(t *testing.T) {
	t.Parallel()
	target := stopped(t)
	if err := os.Chmod(target, 0o640); err != nil {
		t.Fatal(err)
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(target, link); err != nil {
		t.Fatal(err)
	}
	before, err := os.Stat(target)
	if err != nil {
		t.Fatal(err)
	}
	q := mustOpen(t, Options{Path: link, Settings: queue.DefaultSettings()})
	if q.KeyFile() != target+disk.Key {
		t.Errorf("the key is in %s", q.KeyFile())
	}
	if _, err := Open(Options{Path: target, Settings: queue.DefaultSettings()}); !errors.Is(err, queue.ErrBusy) || !strings.Contains(err.Error(), target+" is in use by another process; stop that one or give this one another path") {
		t.Errorf("opening it a second time: %v", err)
	}
	if _, err := q.Purge(t.Context(), queue.PurgeSelection{Upstream: "ehr"}); err != nil {
		t.Fatal(err)
	}
	if _, err := q.Compact(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	mustClose(t, q)
	after, err := os.Stat(target)
	if err != nil || !os.SameFile(before, after) || after.Mode() != before.Mode() {
		t.Errorf("%v, %v, want %v", after, err, before)
	}
	names, err := filepath.Glob(filepath.Join(filepath.Dir(link), "*"))
	if err != nil || len(names) != 1 {
		t.Errorf("files next to the link: %v, %v", names, err)
	}
}

// Open removes unfinished files of a killed process, and no file of others.
func TestLeftovers(t *testing.T) {
	t.Parallel()
	path := stopped(t)
	for _, suffix := range []string{".new.123", ".copy.456", ".keep", ".newer"} {
		if err := os.WriteFile(path+suffix, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()}))
	for suffix, want := range map[string]bool{".new.123": false, ".copy.456": false, ".keep": true, ".newer": true} {
		if _, err := os.Stat(path + suffix); (err == nil) != want {
			t.Errorf("%s: %v", suffix, err)
		}
	}
}

// A backup without room returns an error with the numbers, and leaves no file.
func TestBackupWithoutRoom(t *testing.T) {
	t.Parallel()
	path := stopped(t)
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), space: func(string) (uint64, uint64, error) { return 1 << 20, 1 << 40, nil }})
	err := q.Backup(t.Context(), io.Discard, nil)
	if err == nil || !strings.Contains(err.Error(), "no space left on the disk: the copy needs ") || !strings.Contains(err.Error(), "1048576 are free") {
		t.Errorf("Backup: %v", err)
	}
	if names, err := filepath.Glob(path + ".copy.*"); err != nil || len(names) > 0 {
		t.Errorf("Backup left %v, %v", names, err)
	}
}

// A removed lock file is created and locked again.
func TestLockRenewed(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	w := &tampered{t: t, Queue: q}
	if err := os.Remove(q.path + ".lock"); err != nil {
		t.Fatal(err)
	}
	w.onWriter(func() { q.renewLock() })
	if _, err := Open(Options{Path: q.path, Settings: queue.DefaultSettings()}); !errors.Is(err, queue.ErrBusy) {
		t.Errorf("opening it a second time: %v", err)
	}
}
