package boltqueue

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// large stores n events with a payload of some kilobytes each.
func large(t testing.TB, q *Queue, name string, n int) {
	t.Helper()
	body := bytes.Repeat([]byte("0123456789abcdef"), 512)
	var work sync.WaitGroup
	for w := range 8 {
		work.Go(func() {
			for i := w; i < n; i += 8 {
				e := queuetest.Event(fmt.Sprintf("%s-%d", name, i), time.Now())
				e.Body = body
				if _, err := q.Store(context.Background(), queue.Item{Event: e, Upstreams: []string{"ehr"}}); err != nil {
					t.Errorf("Store: %v", err)
				}
			}
		})
	}
	work.Wait()
}

// deliver settles n deliveries.
func deliver(t testing.TB, q *Queue, n int) {
	t.Helper()
	for n > 0 {
		ds := claim(t, q, "ehr", min(n, 500))
		for _, d := range ds {
			q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success, Used: true})
		}
		flush(t, q)
		n -= len(ds)
	}
}

func sizeOf(t testing.TB, path string) int64 {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return info.Size()
}

func wantNoCopy(t testing.TB, path string) {
	t.Helper()
	if _, err := os.Stat(copyPath(path)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the copy is still there: %v", err)
	}
}

// A file that a backlog has grown becomes small, while events come and go.
func TestCompact(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings(), copyBytes: 16 << 10}
	q := mustOpen(t, o)
	large(t, q, "before", 3000)
	deliver(t, q, 2900)
	grown := sizeOf(t, path)

	stop := make(chan struct{})
	var traffic sync.WaitGroup
	var stored atomic.Int64
	for w := range 4 {
		traffic.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				store(t, q, fmt.Sprintf("during-%d-%d", w, i), "ehr", "warehouse")
				stored.Add(1)
			}
		})
	}
	traffic.Go(func() {
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
			}
			for _, d := range claim(t, q, "ehr", 1) {
				q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: []queue.State{queue.Delivered, queue.Dead}[i%2], Result: queue.Success, Used: true})
			}
		}
	})
	for range 3 {
		got, err := q.Compact(t.Context(), nil)
		if err != nil {
			t.Fatalf("Compact: %v", err)
		}
		if got.Before != grown && grown > 0 {
			t.Errorf("Compact says that the file had %d bytes, want %d", got.Before, grown)
		}
		grown = 0
		if now := sizeOf(t, path); got.After <= 0 || got.After > now {
			t.Errorf("Compact says that the file has %d bytes, and it has %d", got.After, now)
		}
	}
	close(stop)
	traffic.Wait()
	flush(t, q)
	wantNoCopy(t, path)
	wantSound(t, q)
	all := int(stored.Load()) + 3000
	if n := count(t, q, queue.Filter{}); n != all {
		t.Errorf("%d events are there, want %d", n, all)
	}
	store(t, q, "last", "ehr")
	mustClose(t, q)

	q = mustOpen(t, o)
	wantSound(t, q)
	if n := count(t, q, queue.Filter{}); n != all+1 {
		t.Errorf("%d events are there after a restart, want %d", n, all+1)
	}
	for _, d := range claim(t, q, "ehr", all) {
		if _, err := q.Load(d); err != nil {
			t.Fatalf("Load(%s): %v", d.EventID, err)
		}
	}
}

func count(t testing.TB, q *Queue, f queue.Filter) (n int) {
	t.Helper()
	f.Limit = 1000
	for {
		p, err := q.Events(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		n += len(p.Records)
		if f.Cursor = p.Next; f.Cursor == "" {
			return n
		}
	}
}

// After a file of many megabytes has drained, little is left of it.
func TestCompactGivesBack(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	large(t, q, "e", 3000)
	deliver(t, q, 3000)
	got, err := q.Compact(t.Context(), nil)
	if err != nil || got.Before < 24<<20 || got.After > 2<<20 || got.After != sizeOf(t, path) {
		t.Fatalf("Compact: %+v, %v; want a file of many megabytes to become one of few", got, err)
	}
	wantSound(t, q)
}

// held has a compaction wait before it puts the copy into the file's place.
func held(path string, stages ...string) (o Options, reached chan string, release chan error) {
	reached, release = make(chan string), make(chan error)
	return Options{Path: path, Settings: queue.DefaultSettings(), fault: func(stage string) error {
		if !slices.Contains(stages, stage) {
			return nil
		}
		reached <- stage
		return <-release
	}}, reached, release
}

// One that fails leaves the file as it was.
func TestCompactFails(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o, reached, release := held(path, beforeRename)
	q := mustOpen(t, o)
	store(t, q, "a", "ehr")
	go func() {
		<-reached
		release <- errors.New("no room")
	}()
	if _, err := q.Compact(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "no room") || !strings.Contains(err.Error(), path) {
		t.Fatalf("Compact: %v, want the reason and the file", err)
	}
	wantNoCopy(t, path)
	store(t, q, "b", "ehr")
	wantSound(t, q)
	go func() {
		<-reached
		release <- nil
	}()
	if _, err := q.Compact(t.Context(), nil); err != nil {
		t.Fatalf("Compact, a second time: %v", err)
	}
	wantSound(t, q)
	if n := count(t, q, queue.Filter{}); n != 2 {
		t.Errorf("%d events are there, want 2", n)
	}
}

// Until the directory is synced, a power cut may bring the old file back, and
// nothing may be acknowledged that only the new one holds.
func TestCompactCannotName(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	var failing atomic.Bool
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), segment: -1, fault: func(stage string) error {
		if stage == beforeNaming && failing.Load() {
			return errors.New("input/output error")
		}
		return nil
	}})
	store(t, q, "a", "ehr")
	failing.Store(true)
	if _, err := q.Compact(t.Context(), nil); err != nil {
		t.Fatalf("Compact: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	if _, err := q.Store(ctx, queue.Item{Event: queuetest.Event("b", time.Now()), Upstreams: []string{"ehr"}}); err == nil {
		t.Fatal("an event was acknowledged before the file's name was durable")
	}
	failing.Store(false)
	store(t, q, "b", "ehr")
	wantSound(t, q)
}

func TestCompactTwiceAtOnce(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), copyBytes: 1})
	large(t, q, "e", 500)
	first := make(chan error)
	go func() {
		_, err := q.Compact(context.Background(), nil)
		first <- err
	}()
	waitForCopy(path)
	if _, err := q.Compact(t.Context(), nil); !errors.Is(err, queue.ErrBusy) {
		t.Errorf("a second one: %v, want that one is under way", err)
	}
	if err := <-first; err != nil {
		t.Errorf("the first: %v", err)
	}
}

// A caller who is busy with what it was told holds up neither the compaction nor
// anything else, and is told the newest when it is free again.
func TestCompactTellsOfProgress(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	q := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings(), copyBytes: 1 << 10})
	large(t, q, "e", 300)
	var told [][2]int64
	done, err := q.Compact(t.Context(), func(done, total int64) {
		told = append(told, [2]int64{done, total})
		if len(told) == 1 {
			waitForNoCopy(path)
			store(t, q, "meanwhile", "ehr")
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	first, last := told[0], told[len(told)-1]
	if len(told) < 2 || len(told) > 3 || first[0] <= 0 || first[0] >= first[1] || first[1] > done.Before {
		t.Errorf("told %v of a file of %d bytes, want a beginning of it", told, done.Before)
	}
	if last[0] != last[1] || last[0] <= first[0] || last[0] > done.After {
		t.Errorf("told %v of a copy of %d bytes, want all of it at the end", told, done.After)
	}
	if n := count(t, q, queue.Filter{}); n != 301 {
		t.Errorf("%d events are there, want 301", n)
	}
}

// waitForNoCopy returns when the copy of the file is in its place.
func waitForNoCopy(path string) {
	for {
		if _, err := os.Stat(copyPath(path)); err != nil {
			return // or the test runs into its deadline
		}
		time.Sleep(time.Millisecond)
	}
}

// waitForCopy returns when a copy of the file is being made.
func waitForCopy(path string) {
	for {
		if _, err := os.Stat(copyPath(path)); err == nil {
			return // or the test runs into its deadline
		}
		time.Sleep(time.Millisecond)
	}
}

// Neither a caller who has gone nor the end of the queue waits for it.
func TestCompactGivenUp(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings(), copyBytes: 1}
	q := mustOpen(t, o)
	large(t, q, "e", 300)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := q.Compact(ctx, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("Compact of a caller who has gone: %v", err)
	}
	wantNoCopy(t, path)
	ended := make(chan error)
	go func() {
		_, err := q.Compact(context.Background(), nil)
		ended <- err
	}()
	waitForCopy(path)
	mustClose(t, q)
	if err := <-ended; !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Compact in a queue that is closed: %v", err)
	}
	wantNoCopy(t, path)
	if _, err := q.Compact(t.Context(), nil); !errors.Is(err, queue.ErrClosed) {
		t.Errorf("Compact after that: %v", err)
	}
	wantSound(t, mustOpen(t, o))
}

// What a process that was killed left of a copy is removed.
func TestCompactLeftBehind(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	q := mustOpen(t, o)
	store(t, q, "a", "ehr")
	mustClose(t, q)
	if err := os.WriteFile(copyPath(path), []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, o)
	wantNoCopy(t, path)
	claim(t, q, "ehr", 1)
}

// A process that waits for the file's lock while it is replaced must not take
// the old one for its own.
func TestCompactKeepsTheLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o, reached, release := held(path, beforeRename)
	q := mustOpen(t, o)
	store(t, q, "a", "ehr")
	go func() { _, _ = q.Compact(context.Background(), nil) }()
	<-reached
	f := &file{path: path}
	second := make(chan error)
	go func() { second <- f.openQueue() }()
	time.Sleep(100 * time.Millisecond) // it waits for the lock, most likely
	release <- nil
	if err := <-second; !strings.Contains(fmt.Sprint(f.explain(err)), "in use by another process") {
		t.Errorf("a second process: %v, want that the file is in use", err)
	}
	store(t, q, "b", "ehr")
}

// emptied makes a file that a backlog has grown and that holds next to nothing,
// without the list of its free pages.
func emptied(t *testing.T, o Options) {
	t.Helper()
	q := mustOpen(t, o)
	large(t, q, "e", 9000)
	deliver(t, q, 8990)
	if !q.file.db.NoFreelistSync {
		t.Fatal("the file holds the list of its free pages; it must grow larger for this test")
	}
	mustClose(t, q)
}

// A file that is nearly empty is compacted when it is opened.
func TestCompactedAtStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	emptied(t, o)
	for _, listed := range []bool{false, true} {
		if listed {
			db, err := bbolt.Open(path, 0o600, nil) // it writes the list
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Close(); err != nil {
				t.Fatal(err)
			}
			continue
		}
		grown := sizeOf(t, path)
		whole := filepath.Join(t.TempDir(), "queue.db")
		copyFile(t, path, whole)
		copyFile(t, keyFile(path), keyFile(whole))
		q := mustOpen(t, Options{Path: whole, Settings: o.Settings})
		if now := sizeOf(t, whole); now > grown/10 {
			t.Errorf("the file has %d bytes and had %d, want it compacted", now, grown)
		}
		wantSound(t, q)
		wantNoCopy(t, whole)
		if ds := claim(t, q, "ehr", 100); len(ds) != 10 {
			t.Errorf("%d deliveries are due, want 10", len(ds))
		}
		store(t, q, "after", "ehr")
		mustClose(t, q)
		wantSound(t, mustOpen(t, Options{Path: whole, Settings: o.Settings}))
	}
	grown := sizeOf(t, path)
	wantSound(t, mustOpen(t, o))
	if now := sizeOf(t, path); now > grown/10 {
		t.Errorf("the file has %d bytes and had %d, want it compacted although it holds the list", now, grown)
	}
}

// Where there is no room for a copy, the file is opened as it is.
func TestNoRoomAtStart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	emptied(t, o)
	if err := os.MkdirAll(filepath.Join(copyPath(path), "in the way"), 0o700); err != nil {
		t.Fatal(err)
	}
	f := &file{path: path}
	if err := f.inspect(func(*bbolt.Tx) error { return nil }); err != nil {
		t.Fatalf("a file of which no copy can be made: %v", err)
	}
	if err := os.RemoveAll(copyPath(path)); err != nil {
		t.Fatal(err)
	}
	wantSound(t, mustOpen(t, o))
}

// A damaged page of a file without the list is an error, and not the end of the
// process.
func TestDamagedWithoutList(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	emptied(t, o)
	f := &file{path: path}
	if err := f.open(&bbolt.Options{ReadOnly: true}); err != nil {
		t.Fatal(err)
	}
	var root int64
	if err := f.db.View(func(tx *bbolt.Tx) error {
		root = int64(tx.Bucket([]byte(bucketEvents)).Root())
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if err := f.db.Close(); err != nil {
		t.Fatal(err)
	}
	w, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if _, err := w.WriteAt(bytes.Repeat([]byte{0xff}, f.page), root*int64(f.page)); err != nil {
		t.Fatal(err)
	}
	before := sizeOf(t, path)
	if _, err := Open(o); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "damaged") {
		t.Errorf("Open: %v, want an error that names the file", err)
	}
	if now := sizeOf(t, path); now != before {
		t.Errorf("the file has %d bytes and had %d: it was changed", now, before)
	}
}
