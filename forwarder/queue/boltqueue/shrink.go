package boltqueue

import (
	"errors"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// shrink puts a compacted copy into the place of a file that is open for
// reading and nearly empty. A file without the list of its free pages is copied
// in any case: bbolt would read all of it to make the list, each time that it is
// opened.
//
// Where only the copy cannot be made, for want of room, the file is left as it
// is.
func (f *file) shrink() error {
	if err := f.lock(); err != nil {
		return err
	}
	if same, err := f.named(); err != nil || !same {
		return err // somebody else has just replaced it; it is opened next
	}
	c, err := newCopy(f.path)
	if err != nil {
		return nil //nolint:nilerr // it can be opened as it is
	}
	if err := f.copyTo(c); err != nil {
		c.discard()
		return nil //nolint:nilerr // as before
	}
	return errors.Join(c.to.db.Close(), syncDir(filepath.Dir(f.path)))
}

// copyTo makes the whole copy and puts it into the file's place.
func (f *file) copyTo(c *copying) (err error) {
	defer guard(&err, "copying", f.path)
	for !c.whole {
		if err := f.db.View(c.slice); err != nil {
			return err
		}
	}
	if err := f.db.View(c.finish); err != nil {
		return err
	}
	return os.Rename(c.to.path, f.path)
}

// readAll reads every page in use, so that a damaged one shows itself. Where
// bbolt does it, to make the list of free pages, a fault ends the process.
func readAll(tx *bbolt.Tx) error {
	return tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
		return b.ForEach(func(_, _ []byte) error { return nil })
	})
}

// lock locks a file that is open for reading against everybody else.
func (f *file) lock() error {
	for until := time.Now().Add(lockTimeout); ; time.Sleep(20 * time.Millisecond) {
		if err := lockExclusively(f.os); err == nil || !errors.Is(err, errLocked) {
			return err
		}
		if time.Now().After(until) {
			return bolterrors.ErrTimeout
		}
	}
}

// named reports whether the file that is open is still the one with its name.
// Another process may have replaced it while this one waited for the lock.
func (f *file) named() (bool, error) {
	there, err := os.Stat(f.path)
	if err != nil {
		return false, err
	}
	open, err := f.os.Stat()
	if err != nil {
		return false, err
	}
	return os.SameFile(there, open), nil
}
