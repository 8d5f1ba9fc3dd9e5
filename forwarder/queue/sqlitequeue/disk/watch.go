package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync"
	"time"
)

// watchWait is how long a check waits for the file system.
const watchWait = 2 * time.Second

// The ways in which a file can change while the process has it open.
var (
	ErrRemoved   = errors.New("was removed while in use")
	ErrReplaced  = errors.New("was replaced while in use")
	ErrTruncated = errors.New("was truncated while in use")

	// ErrWAL means that the change concerns the WAL.
	ErrWAL = errors.New("the WAL was changed while in use")

	// ErrOverwritten means that another process, such as cp, has written to the main
	// file. It wraps ErrReplaced.
	ErrOverwritten = fmt.Errorf("was overwritten by another process: it %w", ErrReplaced)
)

// A Watch detects changes of the main file and the WAL by other programs while they are
// in use. SQLite does not detect them: its commits go to the WAL, and succeed even if
// the main file is empty, replaced or missing, since it reads the needed pages from its
// cache, or needs none. The effect of each case (cache 8 MiB, main file 20 MB):
//
//   - The main file truncated, or overwritten with garbage: reading returns 11
//     (CORRUPT) as soon as a page is not in the cache; 20 of 20 stores succeed. A
//     checkpoint returns 11 only if the main file would grow by much more than the
//     WAL contains; otherwise it succeeds and writes its pages into the foreign
//     content.
//   - Overwritten in place by an older copy: the same, and a checkpoint writes new
//     pages between the old ones. Then neither version is readable.
//   - Removed, or replaced by rename: everything still works, on a file without a
//     name. At the end of the process all of it is lost.
//   - The WAL truncated: reading and writing return 522 (IOERR_SHORT_READ) at once,
//     or 26 (NOTADB) and 11 if it was overwritten; a checkpoint then writes the
//     garbage to the main file, since it verifies nothing.
//   - The WAL removed or replaced: everything still works without its name. A
//     checkpoint copies all of it to the main file; a kill before that loses it.
//   - The shared-memory file removed: no effect. Truncated: all calls return 8714
//     (IOERR_IN_PAGE) until the connections are reopened, which loses nothing.
//     Overwritten: some reads return old content or 11; a write repairs it.
//
// No call hangs in any of these cases. Closing the last connection makes a checkpoint,
// unless the main file's name refers to another file: so after a truncated or
// overwritten main file, the connections must be closed without a checkpoint.
//
// The WAL of the previous file must not stay next to a restored file: SQLite cannot
// know that they do not belong together, and would write the WAL's pages into it.
//
// A Watch only uses stat. Opening and closing the database would release the locks that
// SQLite holds on it, unless they are OFD locks.
type Watch struct {
	path string
	stat func(name string) (fs.FileInfo, error)

	mu      sync.Mutex
	main    fs.FileInfo
	wal     fs.FileInfo // nil if there is none
	changes int         // number of calls of Note and Writing
	own     bool        // this process is writing the main file
	running *look
}

// A look is the state of the two files at one moment.
type look struct {
	began   time.Time
	done    chan struct{}
	changes int // of the watch when the look began

	main, wal       fs.FileInfo
	mainErr, walErr error
}

// NewWatch returns a watch of a database in its present state.
func NewWatch(path string) (*Watch, error) {
	w := &Watch{path: path, stat: os.Stat}
	if err := w.Note(); err != nil {
		return nil, err
	}
	return w, nil
}

// Writing must be called before this process writes the main file or truncates the WAL,
// in a checkpoint or a vacuum. Until the next Note, Check only compares the identity of
// the files.
func (w *Watch) Writing() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.own = true
	w.changes++
}

// Note makes the present sizes and times of the files the expected ones. The engine
// calls it after each of its writes to the main file, even if the write failed. If the
// names refer to other files than before, it changes nothing and returns the same error
// as Check.
func (w *Watch) Note() error {
	l := w.look()
	if l == nil {
		return w.unanswered()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.sameFiles(l); err != nil {
		return err
	}
	w.main, w.wal = l.main, l.wal
	w.own = false
	w.changes++
	return nil
}

// Check returns nil if the files are as the engine left them. Otherwise it returns an
// error that wraps ErrRemoved, ErrReplaced or ErrTruncated and describes what to do. It
// returns within 2 s, even if the file system hangs.
func (w *Watch) Check() error {
	for {
		l := w.look()
		if l == nil {
			return w.unanswered()
		}
		if err, ok := w.judge(l); ok {
			return err
		}
	}
}

// judge returns the result of a check, or false if the engine has written the files
// since the look began.
func (w *Watch) judge(l *look) (error, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.changes != w.changes {
		return nil, false
	}
	if err := w.sameFiles(l); err != nil {
		return err, true
	}
	if !w.own {
		switch {
		case l.main.Size() < w.main.Size():
			return w.lost(ErrTruncated), true
		case l.main.Size() != w.main.Size(), !l.main.ModTime().Equal(w.main.ModTime()):
			return w.lost(ErrOverwritten), true
		case w.wal != nil && l.wal.Size() < w.wal.Size():
			return w.lostWAL(ErrTruncated), true
		}
		w.wal = l.wal // it grows with every commit, and only a checkpoint shortens it
	}
	return nil, true
}

// sameFiles returns an error if a name refers to another file than before.
func (w *Watch) sameFiles(l *look) error {
	switch {
	case errors.Is(l.mainErr, fs.ErrNotExist):
		return w.lost(ErrRemoved)
	case l.mainErr != nil:
		return fmt.Errorf("inspecting the queue file: %w", l.mainErr)
	case w.main != nil && !os.SameFile(w.main, l.main):
		return w.lost(ErrReplaced)
	case l.walErr != nil && !errors.Is(l.walErr, fs.ErrNotExist):
		return fmt.Errorf("inspecting the queue file's WAL: %w", l.walErr)
	case w.wal == nil:
		return nil
	case l.walErr != nil:
		return w.lostWAL(ErrRemoved)
	case !os.SameFile(w.wal, l.wal):
		return w.lostWAL(ErrReplaced)
	}
	return nil
}

func (w *Watch) lost(how error) error {
	return fmt.Errorf("the queue file %s %w; restore it from a backup; the gateway then resumes by itself", w.path, how)
}

func (w *Watch) lostWAL(how error) error {
	return walError{fmt.Errorf("the file %s%s %w; it contains the newest events: no other program may change the files next to the queue file", w.path, WAL, how)}
}

// A walError is an error that wraps ErrWAL as well.
type walError struct{ error }

func (e walError) Unwrap() []error { return []error{e.error, ErrWAL} }

func (w *Watch) unanswered() error {
	return fmt.Errorf("inspecting the queue file %s: the file system has not answered for %v", w.path, watchWait)
}

// look returns a look that began after the call, or nil if the file system does not
// answer in time. At most one goroutine waits for the file system: other callers wait
// for it, and then share the next look.
func (w *Watch) look() *look {
	called := time.Now()
	for {
		l, mine := w.begin()
		timeout := time.NewTimer(min(time.Until(called.Add(watchWait)), time.Until(l.began.Add(watchWait))))
		select {
		case <-l.done:
			timeout.Stop()
			if mine || !l.began.Before(called) {
				return l
			}
		case <-timeout.C:
			return nil
		}
	}
}

// begin returns the running look, or starts one.
func (w *Watch) begin() (l *look, mine bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.running != nil {
		return w.running, false
	}
	l = &look{began: time.Now(), done: make(chan struct{}), changes: w.changes}
	w.running = l
	go func() {
		l.main, l.mainErr = w.stat(w.path)
		l.wal, l.walErr = w.stat(w.path + WAL)
		w.mu.Lock()
		w.running = nil
		w.mu.Unlock()
		close(l.done)
	}()
	return l, true
}
