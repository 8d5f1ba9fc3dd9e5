package sqlitequeue

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/trials"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/salvage"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/storetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// newCrashed creates a store like newDamageable, but as a killed process leaves it: its
// newest changes are in the WAL.
func newCrashed(t *testing.T, n int, prefix string) *damageable {
	t.Helper()
	d := newDamageable(t, n)
	path := filepath.Join(t.TempDir(), "queue.db")
	copyStore(t, d.Path, path)
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	for i := range n {
		id := fmt.Sprint(prefix, "-", i)
		it := queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: []string{"ehr", "lab"}}
		if _, err := q.Store(t.Context(), it); err != nil {
			t.Fatal(err)
		}
		d.IDs, d.Events[id] = append(d.IDs, id), it.Event
		d.Want[id] = must(q.Event(t.Context(), id))
	}
	flush(t, q)
	d.Path = filepath.Join(t.TempDir(), "queue.db")
	copyStore(t, path, d.Path)
	return d
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func writeFile(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// lastCommits returns the offset at which the last n commits of a WAL begin.
func lastCommits(log []byte, n int) int {
	const frame = 24 + tables.PageSize
	var ends []int
	for at := 32; at+frame <= len(log) && bytes.Equal(log[at+8:at+16], log[16:24]); at += frame {
		if binary.BigEndian.Uint32(log[at+4:]) != 0 {
			ends = append(ends, at+frame)
		}
	}
	return ends[len(ends)-1-n]
}

// Bytes of the WAL of a killed process are damaged: all events that are not on them are
// delivered, and the others are reported.
func TestDamagedWAL(t *testing.T) {
	t.Parallel()
	d := newCrashed(t, 60, "late")
	log := readFile(t, d.Path+disk.WAL)
	const frame = 24 + tables.PageSize
	certain := lastCommits(log, 2) // later bytes could be the rest of a power failure
	if o := d.try(t, d.Copy(t)); o.whole != len(d.IDs) || len(o.reported) > 0 {
		t.Fatalf("without damage: %+v", o)
	}
	for name, size := range map[string]int{"a byte": 1, "8 bytes": 8, "100 bytes": 100, "a sector": 512, "two pages": 2 * tables.PageSize} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			random := rand.New(rand.NewPCG(3, 4))
			most, lost, n := 0, 0, trials.Of(24)
			for range n {
				path, b := d.Copy(t), slices.Clone(log)
				at := random.IntN(len(b) - size)
				for i := range size {
					b[at+i] ^= byte(1 + random.IntN(255))
				}
				writeFile(t, path+disk.WAL, b)
				o := d.try(t, path)
				n := o.total()
				rows := 0
				for i := max(0, at-32) / frame; 32+i*frame < at+size; i++ {
					rows += storetest.RowsOn(log[32+i*frame+24:], 0)
				}
				if at+size > certain { // it may cost the last transactions as a whole
					rows = len(d.IDs)
				}
				if o.refused != nil || n > rows || n > 0 && len(o.reported) == 0 && at+size <= certain {
					t.Errorf("byte %d of %d: %v, %v; reported: %q", at, len(b), o.refused, o.lost, o.reported)
				}
				most, lost = max(most, n), lost+n
			}
			t.Logf("%d trials with %d events: at most %d problems in one trial, %d in total", n, len(d.IDs), most, lost)
		})
	}
}

// The WAL is missing, unreadable, or belongs to another main file.
func TestForeignWAL(t *testing.T) {
	t.Parallel()
	d := newCrashed(t, 30, "late")
	other := newCrashed(t, 20, "other")
	open := func(t *testing.T, path string) (*Queue, []string) {
		t.Helper()
		var r reports
		q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), OnDamage: r.add})
		checkAll(t, q)
		return q, r.get()
	}
	kept := func(t *testing.T, path, suffix string) {
		t.Helper()
		if names, err := filepath.Glob(path + disk.WAL + suffix + "*"); err != nil || len(names) != 1 {
			t.Errorf("kept: %q, %v", names, err)
		}
	}
	reported := func(t *testing.T, all []string, text string) {
		t.Helper()
		if !slices.ContainsFunc(all, func(s string) bool { return strings.Contains(s, text) }) {
			t.Errorf("reported %q, want %q", all, text)
		}
	}
	has := func(t *testing.T, q *Queue, id string, want bool) {
		t.Helper()
		if _, err := q.Event(t.Context(), id); (err == nil) != want {
			t.Errorf("%s: %v", id, err)
		}
	}
	t.Run("missing", func(t *testing.T) {
		t.Parallel()
		path := d.Copy(t)
		if err := os.Remove(path + disk.WAL); err != nil {
			t.Fatal(err)
		}
		// The main file is as the previous run closed it, so that it is marked clean,
		// and nothing can be reported.
		q, _ := open(t, path)
		has(t, q, "note-0", true)
	})
	t.Run("garbage", func(t *testing.T) {
		t.Parallel()
		path := d.Copy(t)
		b := readFile(t, path+disk.WAL)
		fill(b, rand.New(rand.NewPCG(1, 1)))
		writeFile(t, path+disk.WAL, b)
		q, all := open(t, path)
		has(t, q, "note-0", true)
		reported(t, all, "is not used")
		kept(t, path, ".damaged-")
	})
	t.Run("of another store", func(t *testing.T) {
		t.Parallel()
		path := d.Copy(t)
		copyFile(t, other.Path+disk.WAL, path+disk.WAL)
		q, all := open(t, path)
		has(t, q, "note-29", true)
		has(t, q, "other-0", false)
		reported(t, all, "is not used")
		kept(t, path, ".foreign-")
	})
	t.Run("newer than the main file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "queue.db")
		copyStore(t, d.Path, path)
		q, _ := open(t, path)
		mustClose(t, q) // everything is in the main file
		older := filepath.Join(t.TempDir(), "queue.db")
		copyStore(t, path, older)
		q, _ = open(t, path)
		storeMany(t, q, "mid", 10)
		mustClose(t, q)
		q, _ = open(t, path)
		storeMany(t, q, "new", 10)
		flush(t, q)
		copyFile(t, path+disk.WAL, older+disk.WAL)
		q, all := open(t, older)
		has(t, q, "late-0", true)
		has(t, q, "new-0", false)
		reported(t, all, "is not used")
		kept(t, older, ".foreign-")
	})
	t.Run("older than the main file", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "queue.db")
		copyStore(t, d.Path, path)
		log := readFile(t, path+disk.WAL)
		q, _ := open(t, path)
		storeMany(t, q, "new", 10)
		mustClose(t, q)
		writeFile(t, path+disk.WAL, log)
		q, all := open(t, path)
		has(t, q, "new-9", true)
		reported(t, all, "is not used")
	})
	t.Run("of the original of a backup", func(t *testing.T) {
		t.Parallel()
		path := filepath.Join(t.TempDir(), "queue.db")
		copyStore(t, d.Path, path)
		q, _ := open(t, path)
		f, err := os.Create(path + ".backup")
		if err != nil {
			t.Fatal(err)
		}
		if err := q.Backup(t.Context(), f, nil); err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil {
			t.Fatal(err)
		}
		storeMany(t, q, "new", 10)
		flush(t, q)
		restored := filepath.Join(t.TempDir(), "queue.db")
		copyFile(t, path+".backup", restored)
		copyFile(t, path+disk.WAL, restored+disk.WAL)
		copyFile(t, path+".key", restored+".key")
		q, all := open(t, restored)
		has(t, q, "late-0", true)
		has(t, q, "new-0", false)
		reported(t, all, "is not used")
		kept(t, restored, ".foreign-")
	})
}

func storeMany(t *testing.T, q *Queue, prefix string, n int) {
	t.Helper()
	for i := range n {
		if _, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event(fmt.Sprint(prefix, "-", i), time.Now()), Upstreams: []string{"ehr"}}); err != nil {
			t.Fatal(err)
		}
	}
}

// The main file is truncated at a page.
func TestTruncatedFile(t *testing.T) {
	t.Parallel()
	for name, d := range map[string]*damageable{"closed": newDamageable(t, 80), "killed": newCrashed(t, 40, "late")} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			main := readFile(t, d.Path)
			lost, most, n := 0, 0, 0
			for size := 1; size < len(main); size += len(main)/12 + 700 {
				n++
				path := d.Copy(t)
				writeFile(t, path, main[:size])
				events, whole := countAll(t, path)
				if whole && events < len(d.IDs) {
					t.Errorf("%d of %d bytes: a reader finds only %d events, and reports them as all", size, len(main), events)
				}
				o := d.try(t, path)
				if o.total() > 0 && len(o.reported) == 0 || o.refused != nil && events > 0 {
					t.Errorf("%d of %d bytes: %v, %v", size, len(main), o.refused, o.lost)
				}
				lost, most = lost+o.total(), max(most, o.total())
				if !testing.Verbose() {
					continue
				}
				t.Logf("%d of %d bytes: %d of %d whole, %v %v; %q", size, len(main), o.whole, len(d.IDs), o.lost, o.refused, o.reported)
			}
			t.Logf("%d trials with %d events: at most %d problems in one trial, %d in total", n, len(d.IDs), most, lost)
		})
	}
}

// countAll returns how many events a Reader finds, and whether the Reader reports that
// it has found all.
func countAll(t *testing.T, path string) (n int, whole bool) {
	t.Helper()
	r, err := salvage.OpenReader(path, nil)
	if err != nil {
		return 0, false
	}
	tally, err := r.Read(t.Context(), salvage.ReadFilter{}, func(salvage.Found) error { n++; return nil })
	err = errors.Join(err, r.Close())
	return n, err == nil && tally.Whole()
}

// Pages are damaged while the store is open. A replaced file is recognized by the first
// page and by the page with the row of table meta.
func TestDamagedWhileOpen(t *testing.T) {
	t.Parallel()
	d := newDamageable(t, 120)
	whole := readFile(t, d.Path)
	pages := len(whole) / tables.PageSize
	random := rand.New(rand.NewPCG(5, 6))
	for range 40 {
		page := 3 + random.IntN(pages-3)
		path := d.Copy(t)
		b := make([]byte, tables.PageSize)
		fill(b, random)
		d.running = func() {
			f, err := os.OpenFile(path, os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := f.WriteAt(b, int64(page)*tables.PageSize); err != nil {
				t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				t.Fatal(err)
			}
		}
		o := d.try(t, path)
		if n := o.total(); o.refused != nil || n > storetest.RowsOn(whole[page*tables.PageSize:], page+1) || n > 0 && len(o.reported) == 0 {
			t.Errorf("page %d: %v, %v; reported: %q", page+1, o.refused, o.lost, o.reported)
		}
		if testing.Verbose() {
			t.Logf("page %d: %v", page+1, o.lost)
		}
	}
}
