package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	lockSuffix = ".lock"
	lockPoll   = 20 * time.Millisecond
)

// ErrNoLock means that the lock file can neither be opened nor created: the directory
// or the file system is read-only, or belongs to another user. A gateway must not start
// then. A command that only reads a copy may continue, since a gateway that owns the
// database would have written its lock file there. The command must open the database
// as immutable, so that it creates no side files.
var ErrNoLock = errors.New("the lock file cannot be opened")

// A FileLock is the exclusive right of one process to use a database.
//
// SQLite's own locks do not provide this: in WAL mode any number of processes may have
// a database open, and each would deliver the pending events. The lock is on a separate
// file, which is never removed: if two processes each locked a file that the other
// removes, both would believe that they own the database.
type FileLock struct {
	path string // of the database
	file *os.File
}

// Lock acquires the lock of a database. It waits up to wait for a previous process that
// is shutting down. Then it returns an error that wraps queue.ErrBusy and contains the
// other process's id, if the lock file has it. If no lock is possible, the error wraps
// ErrNoLock.
//
// If a process dies, the kernel releases its lock.
func Lock(path string, wait time.Duration) (*FileLock, error) {
	l := &FileLock{path: path}
	for deadline := time.Now().Add(wait); ; {
		err := l.acquire()
		left := time.Until(deadline)
		if err == nil {
			return l, nil
		}
		if !errors.Is(err, queue.ErrBusy) || left <= 0 {
			return nil, err
		}
		time.Sleep(min(lockPoll, left))
	}
}

// Renew acquires the lock again if the lock file was removed or replaced. It returns an
// error that wraps queue.ErrBusy if another process has locked the new file: then there
// are two owners.
func (l *FileLock) Renew() error {
	same, err := l.named(l.file)
	if same || err != nil {
		return err
	}
	old := l.file
	if err := l.acquire(); err != nil {
		return err
	}
	return old.Close()
}

// Unlock releases the lock. The lock file stays, without the process id.
func (l *FileLock) Unlock() error {
	_ = l.file.Truncate(0) // the id is only for an error text
	return l.file.Close()
}

// acquire locks the lock file without waiting.
func (l *FileLock) acquire() error {
	for {
		f, err := openLock(l.path + lockSuffix)
		if err != nil {
			return fmt.Errorf("locking %s: %w", l.path, err)
		}
		named, err := l.try(f)
		if named && err == nil {
			l.file = f
			l.sign()
			return nil
		}
		_ = f.Close()
		if err != nil {
			return err
		}
	}
}

// try locks f, and reports whether f is still the lock file. It may have been removed
// since f was opened.
func (l *FileLock) try(f *os.File) (named bool, err error) {
	free, err := tryLock(f)
	switch {
	case err != nil:
		return false, fmt.Errorf("locking %s: %w", l.path, err)
	case !free:
		return false, l.busy(f)
	}
	return l.named(f)
}

// openLock opens the lock file, and creates it if it is missing.
func openLock(name string) (*os.File, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if err == nil {
		return f, nil
	}
	// Locking needs no write permission. On a read-only file system, a gateway on
	// another machine may have locked the file.
	if f, err := os.Open(name); err == nil {
		return f, nil
	}
	if readOnly(err) {
		err = fmt.Errorf("%w: %w", ErrNoLock, err)
	}
	return nil, err
}

// named reports whether the lock file's name still refers to f.
func (l *FileLock) named(f *os.File) (bool, error) {
	info, err := f.Stat()
	if err != nil {
		return false, err
	}
	now, err := os.Stat(l.path + lockSuffix)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil && os.SameFile(info, now), err
}

// sign writes the process id to the lock file, for the error text of another process. A
// full disk does not prevent a start.
func (l *FileLock) sign() {
	if l.file.Truncate(0) == nil {
		_, _ = l.file.WriteAt(strconv.AppendInt(nil, int64(os.Getpid()), 10), 0)
	}
}

// busy returns the error of a lock that another process holds.
func (l *FileLock) busy(f *os.File) error {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0)
	pid, _ := strconv.Atoi(strings.TrimSpace(string(b[:n])))
	return errInUse{path: l.path, pid: pid}
}

// errInUse is the error of a database that another process owns.
type errInUse struct {
	path string
	pid  int // 0 if unknown
}

func (e errInUse) Error() string {
	s := e.path + " is in use by another process; stop that one or give this one another path"
	if e.pid > 0 {
		s += fmt.Sprintf(" (process %d)", e.pid)
	}
	return s
}

func (e errInUse) Unwrap() error { return queue.ErrBusy }
