package boltqueue

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

// lockTimeout is how long opening waits for another process to let go of the
// file: about as long as a predecessor takes to shut down.
const lockTimeout = 3 * time.Second

// mapSize is how much address space is mapped at first, in bytes. A file that
// outgrows its mapping is mapped anew, and a commit then waits for every
// reader. The mapping takes neither memory nor disk, save on Windows, where the
// file grows to it.
const mapSize int64 = 16 << 30

// A file is the open queue file.
type file struct {
	path string
	db   *bbolt.DB
	os   *os.File // the one that bbolt writes
	page int      // the size of a page in bytes

	reserved int64 // up to where room on the disk is taken, in bytes
}

// openFile opens or makes the queue file and locks it. It changes nothing in a
// file that is there unless check, which may look at it before, finds nothing
// amiss.
func openFile(path string, check func(tx *bbolt.Tx) error) (_ *file, err error) {
	f := &file{path: path}
	defer func() {
		if err != nil && f.os != nil {
			_ = f.os.Close() // bbolt has, unless it panicked
		}
	}()
	defer faults()()
	defer guard(&err, "opening", path)
	var fresh bool
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		fresh = true
		err = makeFile(path)
	case err == nil && info.Size() > 0:
		err = f.inspect(check)
	}
	if err == nil {
		err = f.openQueue()
	}
	if err != nil {
		return nil, f.explain(err)
	}
	if fresh {
		if err := syncDir(filepath.Dir(path)); err != nil {
			return nil, errors.Join(f.explain(err), f.db.Close())
		}
	}
	return f, nil
}

// newSuffix is that of the name under which a queue file is made.
const newSuffix = ".new."

// makeFile makes an empty queue file. It appears whole or not at all, and not
// where another process has just made it.
func makeFile(path string) error {
	dir := filepath.Dir(path)
	if err := makeDir(dir); err != nil {
		return err
	}
	made, err := os.CreateTemp(dir, filepath.Base(path)+newSuffix+"*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(made.Name())
	if err := made.Close(); err != nil {
		return err
	}
	f := &file{path: made.Name()}
	if err := f.openQueue(); err != nil {
		return err
	}
	if err := errors.Join(f.os.Sync(), f.db.Close()); err != nil {
		return err
	}
	_ = os.Link(f.path, path) // where the file system has no links, it is made in its place
	return nil
}

// inspect reads the file without the list of its free pages, which must not be
// looked for in a file that is not as it should be, and compacts it where that
// takes no time.
func (f *file) inspect(check func(tx *bbolt.Tx) error) error {
	if err := f.open(&bbolt.Options{ReadOnly: true}); err != nil {
		return err
	}
	var u usage
	err := f.db.View(func(tx *bbolt.Tx) (err error) {
		if err := f.identify(tx); err != nil {
			return err
		}
		if err := check(tx); err != nil {
			return errCheck{err}
		}
		u, err = f.usage(tx)
		return err
	})
	if err == nil && !u.listed {
		err = f.db.View(readAll)
	}
	if err == nil && u.wasteful() && canShrink {
		err = f.shrink()
	}
	return errors.Join(err, f.db.Close())
}

// openQueue opens the file for reading and writing and locks it.
func (f *file) openQueue() error {
	for {
		err := f.open(&bbolt.Options{
			FreelistType:   bbolt.FreelistMapType,
			NoFreelistSync: true, // or opening would write; each commit decides anew
		})
		if err != nil {
			return err
		}
		same, err := f.named()
		if same {
			return nil
		}
		if err = errors.Join(err, f.db.Close()); err != nil {
			return err
		}
	}
}

func (f *file) open(o *bbolt.Options) error {
	o.Timeout = lockTimeout
	o.OpenFile = func(name string, flag int, mode os.FileMode) (*os.File, error) {
		var err error
		f.os, err = os.OpenFile(name, flag, mode) // the path is the configuration's
		return f.os, err
	}
	if runtime.GOOS != "windows" && math.MaxInt > math.MaxInt32 {
		size := mapSize // as a constant it would not compile for 32 bits
		o.InitialMmapSize = int(size)
	}
	db, err := bbolt.Open(f.path, 0o600, o)
	if errors.Is(err, syscall.ENOMEM) { // there is a limit on address space
		o.InitialMmapSize = 0
		db, err = bbolt.Open(f.path, 0o600, o)
	}
	if err == nil {
		f.db, f.page = db, db.Info().PageSize
	}
	return err
}

// size is the file's in bytes.
func (f *file) size() (int64, error) {
	info, err := f.os.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// errFile is the error of a file that is not a whole queue of this format.
type errFile string

func (e errFile) Error() string { return string(e) + " (nothing has been changed)" }

// errCheck is the error of a check, which says all that there is to say.
type errCheck struct{ error }

func (f *file) explain(err error) error {
	var checked errCheck
	switch {
	case errors.As(err, &checked):
		return checked.error
	case errors.Is(err, bolterrors.ErrTimeout):
		return fmt.Errorf("opening the queue file: %s is in use by another process; stop that one or give this one another path", f.path)
	case errors.Is(err, bolterrors.ErrInvalid), errors.Is(err, bolterrors.ErrVersionMismatch), errors.Is(err, bolterrors.ErrChecksum):
		err = errFile("it is no queue file, or is damaged at its beginning; give another path")
	}
	return fmt.Errorf("opening the queue file %s: %w", f.path, err)
}

// identify returns an error unless the file is a whole queue of this format.
func (f *file) identify(tx *bbolt.Tx) error {
	info, err := f.os.Stat()
	if err != nil {
		return err
	}
	if tx.Size() > info.Size() {
		return errFile(fmt.Sprintf("it is cut short, at %d of %d bytes; restore a whole copy of it", info.Size(), tx.Size()))
	}
	var format string
	if meta := tx.Bucket([]byte(bucketMeta)); meta != nil {
		format = string(meta.Get([]byte(formatKey)))
	}
	k, _ := tx.Cursor().First()
	switch {
	case format == formatValue, k == nil: // or a file whose making was cut short
		return nil
	case strings.HasPrefix(format, formatName):
		return errFile(fmt.Sprintf("it is of format %q and this version reads %q; open it with the version that wrote it", format, formatValue))
	}
	return errFile("it belongs to another program; give another path")
}

// resync writes both meta pages again as they stand and syncs the file. After
// that, what readers see is what a power cut would leave.
//
// It is needed after a failed commit: bbolt may have written the meta page of
// the new state without getting it onto stable storage. Readers see the new
// state then, and the next commit would overwrite pages of the old one, which
// may be all that is on the disk.
func (f *file) resync() error {
	b := make([]byte, 2*f.page)
	if _, err := f.os.ReadAt(b, 0); err != nil {
		return err
	}
	if _, err := f.os.WriteAt(b, 0); err != nil {
		return err
	}
	return f.os.Sync()
}

// mapped reports whether the file can be read. bbolt loses its mapping where
// there is no memory for a larger one.
func (f *file) mapped() bool {
	tx, err := f.db.Begin(false)
	return err == nil && tx.Rollback() == nil
}

// guard makes an error of a panic in bbolt, which panics where a page is not
// what it should be. A page that cannot be read at all becomes a panic under
// debug.SetPanicOnFault, which the caller sets.
func guard(err *error, doing, path string) {
	if p := recover(); p != nil {
		*err = fmt.Errorf("%s the queue file %s: it may be damaged: %v; with the server stopped, `caddy scribegate export --path %[2]s` brings out what can be read", doing, path, p)
	}
}

// faults makes panics of faults in mapped memory for the time of a call:
//
//	defer faults()()
func faults() (restore func()) {
	old := debug.SetPanicOnFault(true)
	return func() { debug.SetPanicOnFault(old) }
}

// makeDir makes a directory and those above it, and puts their names onto
// stable storage.
func makeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if err := makeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return syncDir(parent)
}

// syncDir puts the names in a directory onto stable storage.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced there
	}
	d, err := os.Open(dir) // the path is the configuration's
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
