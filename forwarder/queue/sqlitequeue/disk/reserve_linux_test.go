package disk

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

const testReserve = 1 << 20

// newTestReserve returns a reserve on a file system with so much free space.
func newTestReserve(t *testing.T, free uint64) *Reserve {
	t.Helper()
	r := NewReserve(filepath.Join(t.TempDir(), "queue.db"), testReserve)
	r.space = func(string) (uint64, uint64, error) { return free, 1 << 40, nil }
	return r
}

// blocks returns how many bytes of a file are allocated on the disk.
func blocks(t *testing.T, name string) int64 {
	t.Helper()
	info, err := os.Stat(name)
	mustNot(t, err)
	return info.Sys().(*syscall.Stat_t).Blocks * 512
}

func TestReserve(t *testing.T) {
	t.Parallel()
	r := newTestReserve(t, testReserve*5/4)
	if r.Held() || r.Release() {
		t.Fatal("the reserve exists before Ensure")
	}
	for range 2 {
		mustNot(t, r.Ensure())
		info, err := os.Stat(r.path)
		if err != nil || info.Size() != testReserve || info.Mode() != 0o600 || !r.Held() {
			t.Fatalf("the file: %v, %v, held %t", info, err, r.Held())
		}
		if n := blocks(t, r.path); n < testReserve {
			t.Fatalf("%d bytes are allocated", n)
		}
	}
	if !strings.HasSuffix(r.path, "/queue.db.reserve") {
		t.Error(r.path)
	}
	if !r.Release() || r.Held() || r.Release() {
		t.Error("release did not delete the file")
	}
	mustNot(t, r.Ensure()) // again, when there is room
	mustNot(t, os.Remove(r.path))
	if r.Held() {
		t.Error("Held returns true after another process has removed the file")
	}
	mustNot(t, r.Ensure())
}

func TestReserveLeavesRoom(t *testing.T) {
	t.Parallel()
	r := newTestReserve(t, testReserve*5/4-1)
	if err := r.Ensure(); !errors.Is(err, ErrNoRoom) || r.Held() {
		t.Errorf("ensure with too little room: %v, held %t", err, r.Held())
	}
	r = NewReserve(filepath.Join(t.TempDir(), "queue.db"), ReserveSize(10)) // nothing
	if err := r.Ensure(); !errors.Is(err, ErrNoRoom) || r.Held() {
		t.Errorf("ensure of nothing: %v, held %t", err, r.Held())
	}
}

// A copy of the file may have no blocks, or another size.
func TestReserveWithoutBlocks(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{0, 1, testReserve, 3 * testReserve} {
		r := newTestReserve(t, 2*testReserve)
		writeFile(t, r.path, "")
		mustNot(t, os.Truncate(r.path, size))
		mustNot(t, r.Ensure())
		info, err := os.Stat(r.path)
		mustNot(t, err)
		if n := blocks(t, r.path); info.Size() != testReserve || n < testReserve {
			t.Errorf("a file of %d bytes became one of %d with %d allocated", size, info.Size(), n)
		}
	}
}

// On a file system without allocation, the bytes are written.
func TestReserveWritten(t *testing.T) {
	t.Parallel()
	r := newTestReserve(t, 2*testReserve)
	r.allocate = func(*os.File, int64) error { return syscall.EOPNOTSUPP }
	for range 2 {
		r.checked = false
		mustNot(t, r.Ensure())
		if n := blocks(t, r.path); n < testReserve || !r.Held() {
			t.Errorf("%d bytes are allocated, held %t", n, r.Held())
		}
	}
}

// If the system rejects an operation, the error contains the file name, and no file is
// left.
func TestReserveRefused(t *testing.T) {
	t.Parallel()
	for _, errno := range []syscall.Errno{syscall.EDQUOT, syscall.ENOSPC, syscall.EROFS, syscall.EIO} {
		r := newTestReserve(t, 2*testReserve)
		r.allocate = func(*os.File, int64) error { return errno }
		if err := r.Ensure(); !errors.Is(err, errno) || !strings.Contains(err.Error(), r.path) {
			t.Errorf("%v: ensure: %v", errno, err)
		}
		if _, err := os.Stat(r.path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%v: a file is left: %v", errno, err)
		}
	}
	r := newTestReserve(t, 2*testReserve)
	r.space = func(string) (uint64, uint64, error) { return 0, 0, syscall.EACCES }
	if err := r.Ensure(); !errors.Is(err, syscall.EACCES) {
		t.Errorf("statfs is refused: %v", err)
	}
	r = NewReserve(filepath.Join(t.TempDir(), "absent", "queue.db"), testReserve)
	if err := r.Ensure(); err == nil || r.Held() || r.Release() {
		t.Errorf("without a directory: %v", err)
	}
	r = newTestReserve(t, 2*testReserve)
	mustNot(t, os.MkdirAll(filepath.Join(r.path, "x"), 0o700))
	if err := r.Ensure(); err == nil || r.Held() || r.Release() {
		t.Errorf("a directory in its place: %v", err)
	}
}

func TestReserveSize(t *testing.T) {
	t.Parallel()
	for total, want := range map[uint64]int64{0: 0, 1600: 100, 64 << 20: 4 << 20, 128 << 20: 8 << 20, 1 << 50: 8 << 20, 1<<64 - 1: 8 << 20} {
		if got := ReserveSize(total); got != want {
			t.Errorf("ReserveSize(%d) = %d, want %d", total, got, want)
		}
	}
}

func TestDiskSpace(t *testing.T) {
	t.Parallel()
	free, total, err := Space(t.TempDir())
	if err != nil || total == 0 || free > total {
		t.Errorf("Space = %d, %d, %v", free, total, err)
	}
	if _, _, err := Space(filepath.Join(t.TempDir(), "absent")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a directory that is not there: %v", err)
	}
}
