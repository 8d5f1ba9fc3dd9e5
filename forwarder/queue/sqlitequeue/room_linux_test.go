package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// onVolume runs the test in a separate process with a small file system, and returns
// its directory in that process. In the first process it returns "" when the test has
// run.
func onVolume(t *testing.T, mib int) string {
	t.Helper()
	if dir := os.Getenv("SCRIBEGATE_TEST_VOLUME"); dir != "" {
		return dir
	}
	script := `mount -t tmpfs -o size="$1" scribegate "$2" && export SCRIBEGATE_TEST_VOLUME="$2" && exec "$3" -test.v -test.run "$4"`
	c := exec.CommandContext(t.Context(), "unshare", "-rm", "sh", "-c", script, "sh", fmt.Sprintf("%dm", mib), t.TempDir(), os.Args[0], "^"+t.Name()+"$")
	out, err := c.CombinedOutput()
	switch {
	case strings.Contains(string(out), "--- PASS: "+t.Name()):
	case !strings.Contains(string(out), "=== RUN") && os.Geteuid() != 0:
		t.Skipf("there can be no mount namespace here (`unshare -rm`): %v: %s", err, out)
	default:
		t.Errorf("on a small file system: %v\n%s", err, out)
	}
	return ""
}

// fillDisk uses all free space.
func fillDisk(t *testing.T, dir string) {
	t.Helper()
	f, err := os.OpenFile(filepath.Join(dir, "filler"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := io.Copy(f, strings.NewReader(strings.Repeat("x", 64<<20))); !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
}

// full stores events until stores fail.
func (w *tampered) full() {
	w.t.Helper()
	for {
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		w.stored++
		id := fmt.Sprint("until-full-", w.stored)
		err := w.store(ctx, id, 2000)
		cancel()
		if err != nil && strings.Contains(err.Error(), "no space left on the disk") {
			w.t.Logf("full after %d events: %v", len(w.newer), err)
			return
		}
		if err != nil && !errors.Is(err, context.DeadlineExceeded) && !isFull(err) {
			w.t.Fatalf("the error of a full disk: %v", err)
		}
		if err != nil {
			continue
		}
		w.newer = append(w.newer, id)
	}
}

// accepting waits until an event is stored.
func (w *tampered) accepting() {
	w.t.Helper()
	var err error
	defer func() {
		if err != nil {
			w.t.Logf("the last error: %v", err)
		}
	}()
	w.stored++
	eventually(w.t, "accepting resumes", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = w.store(ctx, fmt.Sprint("after-", w.stored), 2000)
		return err == nil
	})
}

// Another file fills the disk permanently. Deliveries continue and make room, in which
// events are stored again.
func TestDiskFullForGood(t *testing.T) {
	t.Parallel()
	dir := onVolume(t, 32)
	if dir == "" {
		return
	}
	w := &tampered{t: t}
	w.open(filepath.Join(dir, "queue.db"))
	for round := range 3 {
		waiting := w.storeMany(fmt.Sprint("waiting-", round, "-"), 2500)
		fillDisk(t, dir)
		w.full()
		w.delivers(append(waiting, w.newer...))
		w.newer = nil
		eventually(t, "all outcomes are recorded", func() bool {
			s, err := w.Stats()
			return err == nil && s.Upstreams["ehr"].Pending == 0
		})
		w.accepting()
		if err := os.Remove(filepath.Join(dir, "filler")); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the reserve exists", func() bool {
			_, err := os.Stat(w.path + ".reserve")
			return err == nil
		})
	}
	mustClose(t, w.Queue)
}

// The queue itself fills the disk. Deliveries make room.
func TestDiskFullByItself(t *testing.T) {
	t.Parallel()
	dir := onVolume(t, 24)
	if dir == "" {
		return
	}
	w := &tampered{t: t}
	w.open(filepath.Join(dir, "queue.db"))
	for range 2 {
		w.full()
		if len(w.newer) < 1000 {
			t.Errorf("only %d events fit", len(w.newer))
		}
		w.delivers(w.newer)
		w.newer = nil
		w.accepting()
	}
	mustClose(t, w.Queue)
}

// A process was killed on a full disk, and starts on it.
func TestOpenOnFullDisk(t *testing.T) {
	t.Parallel()
	dir := onVolume(t, 32)
	if dir == "" {
		return
	}
	w := &tampered{t: t}
	w.open(filepath.Join(dir, "queue.db"))
	waiting := w.storeMany("waiting", 2500)
	aside := t.TempDir()
	w.onWriter(func() { copyStore(t, w.path, filepath.Join(aside, "queue.db")) })
	mustClose(t, w.Queue)
	copyStore(t, filepath.Join(aside, "queue.db"), w.path)
	fillDisk(t, dir)
	w.open(w.path)
	w.delivers(waiting)
	w.accepting()
	mustClose(t, w.Queue)
}

// A process was killed on a full disk after it had released its reserve, and starts without
// any space. It works once there is some.
func TestOpenWithoutAnySpace(t *testing.T) {
	t.Parallel()
	dir := onVolume(t, 32)
	if dir == "" {
		return
	}
	w := &tampered{t: t}
	w.open(filepath.Join(dir, "queue.db"))
	waiting := w.storeMany("waiting", 2500)
	aside := t.TempDir()
	w.onWriter(func() {
		w.checkpoint("TRUNCATE") // so that the first write needs space
		copyStore(t, w.path, filepath.Join(aside, "queue.db"))
	})
	mustClose(t, w.Queue)
	copyStore(t, filepath.Join(aside, "queue.db"), w.path)
	if err := os.Remove(w.path + ".reserve"); err != nil {
		t.Fatal(err)
	}
	fillDisk(t, dir)
	filler := filepath.Join(dir, "filler")
	used, err := os.Stat(filler)
	if err == nil {
		err = os.Truncate(filler, used.Size()-36<<10) // enough for the shared memory, and for no page of the WAL
	}
	if err != nil {
		t.Fatal(err)
	}
	w.open(w.path)
	if s, err := w.Stats(); err != nil || s.Upstreams["ehr"].Pending != int64(len(waiting)) {
		t.Errorf("%+v, %v", s, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.delivers(waiting)
	w.accepting()
	path := w.path
	mustClose(t, w.Queue)
	c, err := tables.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	m, err := tables.ReadMeta(c)
	if err != nil || !m.Clean || m.Path != path {
		t.Errorf("%+v, %v", m, err)
	}
}

// The test determines the free space.
func TestNoRoom(t *testing.T) {
	t.Parallel()
	free := uint64(1 << 30)
	w := &tampered{t: t}
	w.Queue = mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(),
		space: func(string) (uint64, uint64, error) { return free, 1 << 40, nil },
	})
	all := w.storeMany("e", 10)
	w.onWriter(func() { free, w.room.asked = 1<<12, time.Time{} })
	w.full()
	w.delivers(all)
	w.onWriter(func() { free = 1 << 30 })
	if err := w.store(t.Context(), "after", 2000); err != nil {
		t.Fatal(err)
	}
}
