package disk

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func mustLock(t *testing.T, path string) *FileLock {
	t.Helper()
	l, err := Lock(path, 0)
	mustNot(t, err)
	return l
}

func wantInUse(t *testing.T, path string, pid int) {
	t.Helper()
	l, err := Lock(path, 0)
	want := fmt.Sprintf("%s is in use by another process; stop that one or give this one another path (process %d)", path, pid)
	if !errors.Is(err, queue.ErrBusy) || err.Error() != want {
		t.Fatalf("a second lock: %v, %v; want %q", l, err, want)
	}
}

func TestLock(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	l := mustLock(t, path)
	if info, err := os.Stat(path + lockSuffix); err != nil || info.Mode() != 0o600 {
		t.Errorf("the lock file: %v, %v", info.Mode(), err)
	}
	wantInUse(t, path, os.Getpid())
	mustNot(t, l.Unlock())
	if info, err := os.Stat(path + lockSuffix); err != nil || info.Size() != 0 {
		t.Errorf("the lock file after unlock: %v, %v; want an empty one", info, err)
	}
	mustNot(t, mustLock(t, path).Unlock())
}

// Lock waits for a previous process that is shutting down.
func TestLockWaits(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	l := mustLock(t, path)
	result := make(chan error)
	go func() {
		l, err := Lock(path, time.Minute)
		if err == nil {
			err = l.Unlock()
		}
		result <- err
	}()
	select {
	case err := <-result:
		t.Fatalf("Lock did not wait: %v", err)
	case <-time.After(3 * lockPoll):
	}
	mustNot(t, l.Unlock())
	mustNot(t, <-result)
}

// The lock excludes another process, whose id is in the error, and ends with it.
func TestLockOfProcess(t *testing.T) {
	if path := os.Getenv("SCRIBEGATE_TEST_LOCK"); path != "" {
		if _, err := Lock(path, 0); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		fmt.Println("locked")
		time.Sleep(time.Minute) // otherwise the runtime reports a deadlock and ends the process
	}
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	child := exec.Command(os.Args[0], "-test.run=^TestLockOfProcess$")
	child.Env = append(os.Environ(), "SCRIBEGATE_TEST_LOCK="+path)
	out, err := child.StdoutPipe()
	mustNot(t, err)
	mustNot(t, child.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || line != "locked\n" {
		t.Fatalf("the other process: %q, %v", line, err)
	}
	wantInUse(t, path, child.Process.Pid)
	mustNot(t, child.Process.Kill())
	l, err := Lock(path, time.Minute)
	mustNot(t, err)
	_ = child.Wait()
	mustNot(t, l.Unlock())
}

// If a lock file is removed while it is locked, no other process gets the lock after
// its owner has called Renew.
func TestLockFileRemoved(t *testing.T) { // not parallel: a process that another test starts holds the lock until its exec
	path := filepath.Join(t.TempDir(), "queue.db")
	l := mustLock(t, path)
	mustNot(t, l.Renew())
	wantInUse(t, path, os.Getpid())

	mustNot(t, os.Remove(path+lockSuffix))
	mustNot(t, l.Renew())
	wantInUse(t, path, os.Getpid())

	mustNot(t, os.Remove(path+lockSuffix))
	writeFile(t, path+lockSuffix, "77")
	mustNot(t, l.Renew())
	wantInUse(t, path, os.Getpid())

	mustNot(t, os.Remove(path+lockSuffix))
	other := mustLock(t, path)
	if err := l.Renew(); !errors.Is(err, queue.ErrBusy) {
		t.Errorf("after another process has locked the new file: %v", err)
	}
	mustNot(t, other.Unlock())
	mustNot(t, l.Renew())
	mustNot(t, l.Unlock())
}

// A lock file that is removed between opening and locking is not the lock.
func TestLockFileRemovedMeanwhile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	l := &FileLock{path: path}
	for _, made := range []bool{false, true} {
		f, err := openLock(path + lockSuffix)
		mustNot(t, err)
		mustNot(t, os.Remove(path+lockSuffix))
		if made {
			writeFile(t, path+lockSuffix, "")
		}
		if named, err := l.try(f); named || err != nil {
			t.Errorf("a lock on a removed file: %t, %v", named, err)
		}
		mustNot(t, f.Close())
	}
	f, err := openLock(path + lockSuffix)
	mustNot(t, err)
	if named, err := l.try(f); !named || err != nil {
		t.Errorf("the lock: %t, %v", named, err)
	}
	mustNot(t, f.Close())
}

func TestLockWithoutDirectory(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "absent", "queue.db")
	if _, err := Lock(path, time.Minute); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrNoLock) || !strings.Contains(err.Error(), path) {
		t.Errorf("without a directory: %v", err)
	}
}

func TestReadOnlyErrors(t *testing.T) {
	t.Parallel()
	for errno, want := range map[syscall.Errno]bool{syscall.EROFS: true, syscall.EACCES: true, syscall.EPERM: true, syscall.ENOSPC: false, syscall.ENOENT: false, syscall.EIO: false} {
		if got := readOnly(&fs.PathError{Op: "open", Path: "queue.db.lock", Err: errno}); got != want {
			t.Errorf("%v: %t", errno, got)
		}
	}
}
