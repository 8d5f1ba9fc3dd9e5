package boltqueue

import (
	"bytes"
	"crypto/rand"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestSecondProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	_, err := Open(Options{Path: path, Settings: queue.DefaultSettings()})
	if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "in use by another process") {
		t.Fatalf("opening it a second time: %v", err)
	}
	store(t, q, "a", "ehr") // the first owner is not disturbed
}

func TestForeignFile(t *testing.T) {
	t.Parallel()
	boltFile := func(t *testing.T, path string, change func(*bbolt.Tx) error) {
		t.Helper()
		db, err := bbolt.Open(path, 0o600, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.Update(change); err != nil {
			t.Fatal(err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		name string
		make func(t *testing.T, path string)
		says string
	}{
		{"no database", func(t *testing.T, path string) {
			t.Helper()
			b := make([]byte, 100_000)
			_, _ = rand.Read(b)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}, "it is no queue file"},
		{"a text", func(t *testing.T, path string) {
			t.Helper()
			if err := os.WriteFile(path, []byte("hello"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, "it is no queue file"},
		{"another program's database", func(t *testing.T, path string) {
			t.Helper()
			boltFile(t, path, func(tx *bbolt.Tx) error {
				_, err := tx.CreateBucket([]byte("settings"))
				return err
			})
		}, "it belongs to another program"},
		{"another version", func(t *testing.T, path string) {
			t.Helper()
			boltFile(t, path, func(tx *bbolt.Tx) error {
				b, err := tx.CreateBucket([]byte(bucketMeta))
				if err != nil {
					return err
				}
				return b.Put([]byte(formatKey), []byte(formatName+"7"))
			})
		}, `format "scribegate queue 7"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "queue.db")
			c.make(t, path)
			wantRefused(t, Options{Path: path}, path, c.says)
			if _, err := os.Stat(keyFile(path)); err == nil {
				t.Error("a key was made beside a file of somebody else")
			}
		})
	}
}

func TestCutFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	q := mustOpen(t, o)
	for _, id := range []string{"a", "b", "c"} {
		store(t, q, id, "ehr")
	}
	mustClose(t, q)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	whole = bytes.TrimRight(whole, "\x00") // the file grows ahead of what is in it
	for _, size := range []int{3 * 4096, len(whole) / 2, len(whole) - 4096} {
		if err := os.WriteFile(path, whole[:size], 0o600); err != nil {
			t.Fatal(err)
		}
		wantRefused(t, o, path)
	}
}

// A path that cannot be is an error that names it.
func TestNoDirectory(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(file, "queue.db")
	if _, err := Open(Options{Path: path}); err == nil || !strings.Contains(err.Error(), path) {
		t.Fatalf("Open: %v, want an error that names the path", err)
	}
}

// A first start that is cut off leaves nothing in the way of the next.
func TestFileAppearsWhole(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "queue.db")
	for _, name := range []string{path + newSuffix + "1", copyPath(path)} {
		if err := os.WriteFile(name, []byte("half"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	store(t, q, "a", "ehr")
	mustClose(t, q)
	var names []string
	entries, err := os.ReadDir(dir)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	if want := []string{"queue.db", "queue.db.key"}; err != nil || !slices.Equal(names, want) {
		t.Errorf("beside the file are %v, %v; want %v", names, err, want)
	}
}

// Of several processes that make the file at once, one owns it.
func TestFirstStartOfSeveral(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	const n = 8
	made := make(chan error, n)
	for range n {
		go func() { made <- makeFile(path) }()
	}
	for range n {
		if err := <-made; err != nil {
			t.Error(err)
		}
	}
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	store(t, q, "a", "ehr")
	if err := makeFile(path); err != nil {
		t.Fatal(err)
	}
	if same, err := q.file.named(); !same || err != nil {
		t.Errorf("the open file is no longer the one with the name: %v", err)
	}
}

// Room is taken ahead only where the disk has plenty.
func TestAhead(t *testing.T) {
	t.Parallel()
	const plenty = 32 << 20
	for available, want := range map[int64]int64{0: 0, reserveStep: 0, plenty - 1: 0, plenty: 8 << 20, math.MaxInt64: 8 << 20} {
		if got := ahead(available); got != want {
			t.Errorf("with %d bytes left, %d are taken, want %d", available, got, want)
		}
	}
	f, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n := available(f); runtime.GOOS == "linux" && n < 1<<20 {
		t.Errorf("%d bytes are left where these tests run", n)
	}
}
