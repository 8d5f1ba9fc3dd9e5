package watch

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/wal"
)

const (
	// checkedWithin is how old the last successful check may be when an event is
	// acknowledged.
	checkedWithin = 20 * time.Millisecond

	sampledFrames = 500

	minSHM = 32 << 10 // size of the smallest shared-memory file in bytes
)

// The problems with the files that disk.Watch does not detect.
var (
	ErrSHM     = errors.New("was removed or truncated while in use")
	ErrDamaged = errors.New("is damaged")
)

// Files are the open files of a store. Only the writer may use them.
type Files struct {
	path      string
	watch     *disk.Watch
	main      *os.File
	shm       *os.File
	wal       fs.FileInfo // the WAL when it was opened
	metaPage  int64       // the page with the row of table meta
	left      mark        // mark of the main file after the last checkpoint
	index     wal.Index   // progress of checkpoints before left was read
	committed bool        // whether there was a commit since index was read
	elsewhere bool        // whether another process is making a checkpoint
	lacking   bool        // whether the main file was truncated while this process wrote to it
	changed   bool        // whether the WAL may have changed since Inspected was called

	Checked time.Time // when Check was called last
}

// A mark identifies the content of a main file by the header of the database and by the
// row that every commit changes. A WAL belongs only to the main file with the mark of
// its last checkpoint.
type mark [sha256.Size]byte

func (f *Files) markOf(main io.ReaderAt) (m mark) {
	h := sha256.New()
	for _, page := range []int64{1, f.metaPage} {
		_, _ = io.Copy(h, io.NewSectionReader(main, (page-1)*tables.PageSize, tables.PageSize)) // an unreadable page has another mark
	}
	h.Sum(m[:0])
	return m
}

// Open starts watching the files at the path, which c has open.
func (f *Files) Open(path string, c *tables.Conn) (err error) {
	n := Files{path: path, Checked: time.Now(), changed: true}
	if n.metaPage, err = c.Number(`SELECT rootpage FROM sqlite_schema WHERE name = 'meta'`); err != nil {
		return err
	}
	if n.wal, err = os.Stat(path + disk.WAL); err != nil {
		return err
	}
	if n.main, err = os.Open(path); err != nil {
		return err
	}
	if n.shm, err = os.Open(path + disk.SHM); err != nil {
		return errors.Join(err, n.main.Close())
	}
	*f = n // from here on Close closes the files
	if f.index, err = wal.ReadIndex(f.shm); err != nil {
		return err
	}
	if f.watch, err = disk.NewWatch(path); err != nil {
		return err
	}
	f.left = f.markOf(f.main)
	return nil
}

// Close closes the files. Call it after closing the connections: otherwise SQLite loses
// its locks.
func (f *Files) Close() error {
	var errs []error
	for _, file := range []**os.File{&f.main, &f.shm} {
		if *file != nil {
			errs = append(errs, (*file).Close())
			*file = nil
		}
	}
	return errors.Join(errs...)
}

// Writing must be called before this process writes to the main file.
func (f *Files) Writing() { f.watch.Writing() }

// Checkpointed must be called after a checkpoint of the writer.
func (f *Files) Checkpointed() {
	f.elsewhere = false
	f.Written()
}

// Written must be called after this process has written to the main file.
func (f *Files) Written() {
	x, err := wal.ReadIndex(f.shm)
	if err == nil {
		f.index, f.committed = x, false
	}
	if f.watch.Note() == nil {
		f.left = f.markOf(f.main)
		f.lacking = err == nil && f.lacksPages(x)
	} // otherwise the next check finds the problem
}

// CheckpointedInBackground must be called after a background checkpoint.
func (f *Files) CheckpointedInBackground() {
	f.changed = true
	f.Written()
}

// Committed must be called after a commit.
func (f *Files) Committed() { f.committed, f.changed = true, true }

// Changed reports whether the WAL may have changed since Inspected was called.
func (f *Files) Changed() bool { return f.changed }

// Inspected must be called before the WAL is inspected.
func (f *Files) Inspected() { f.changed = false }

// MainSize returns the size of the main file in bytes.
func (f *Files) MainSize() (int64, error) {
	info, err := f.main.Stat()
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}

// Named reports whether the main file has a name in any directory.
func (f *Files) Named() bool { return disk.Named(f.main) }

// AsLeft reports whether the open files are still at the path, unchanged since this
// process last wrote to them.
func (f *Files) AsLeft() bool { return f.watch.Check() == nil && f.IsLeft(f.main) }

// IsLeft reports whether a file has the mark of the main file as this process left it.
func (f *Files) IsLeft(main io.ReaderAt) bool { return f.markOf(main) == f.left }

// HasWAL reports whether the opened WAL is still at its path.
func (f *Files) HasWAL() bool {
	info, err := os.Stat(f.path + disk.WAL)
	return err == nil && os.SameFile(info, f.wal)
}

// CheckSoon calls Check, unless the last check was less than checkedWithin ago.
func (f *Files) CheckSoon() error {
	if time.Since(f.Checked) < checkedWithin {
		return nil
	}
	return f.Check()
}

// Check returns an error if the files were replaced, or changed by another process: an
// error of disk.Watch or ErrSHM.
func (f *Files) Check() error {
	before, indexErr := wal.ReadIndex(f.shm)
	err := f.watch.Check()
	if err == nil && f.lacking { // which no checkpoint of another process can have caused
		f.Checked = time.Now()
		return fmt.Errorf("the file %s %w", f.path, disk.ErrTruncated)
	}
	unchanged := err == nil && !f.elsewhere
	inMain := errors.Is(err, disk.ErrOverwritten) || errors.Is(err, disk.ErrTruncated)
	switch {
	case errors.Is(err, disk.ErrOverwritten) && f.IsLeft(f.main):
		f.Written() // touch, or a change in the middle of the file, which reading detects
		err = nil
	case inMain && f.checkpointElsewhere(err):
		if !f.elsewhere {
			f.Written()
		}
		err = nil
	case err == nil && f.elsewhere:
		if x, shmErr := wal.ReadIndex(f.shm); shmErr == nil && x.Attempted == x.Copied && f.mainIsWhole() {
			f.changed = true
			f.Checkpointed()
		}
	}
	if err == nil {
		if info, shmErr := os.Stat(f.path + disk.SHM); shmErr != nil || info.Size() < minSHM {
			err = fmt.Errorf("the file %s%s %w", f.path, disk.SHM, ErrSHM)
		} else if unchanged && indexErr == nil { // so no checkpoint in the index has written to the main file
			f.index, f.committed = before, false
		}
	}
	f.Checked = time.Now()
	return err
}

// checkpointElsewhere reports whether a change of the files may be a checkpoint by
// another process. SQLite records the state of the WAL in the shared-memory file, which
// does not change if a program copies or truncates a file. While such a checkpoint
// runs, Check does not compare the files.
func (f *Files) checkpointElsewhere(change error) bool {
	x, err := wal.ReadIndex(f.shm)
	switch {
	case err != nil || !x.CheckpointSince(f.index, f.committed):
		return false
	case x.Attempted > x.Copied:
		f.watch.Writing()
		f.elsewhere = true
		return true
	}
	f.changed = true
	if errors.Is(change, disk.ErrWAL) {
		log, err := os.Stat(f.path + disk.WAL)
		return err == nil && os.SameFile(log, f.wal) && log.Size() >= wal.Size(x.Frames, tables.PageSize)
	}
	return f.mainIsWhole()
}

// mainIsWhole reports whether the main file is as long as its header requires.
func (f *Files) mainIsWhole() bool {
	pages, err := tables.PageCount(f.main)
	size, err2 := f.MainSize()
	return err == nil && err2 == nil && size >= pages*tables.PageSize
}

// lacksPages reports whether pages are missing in the main file. It returns false unless the
// whole WAL is in the main file: SQLite extends the file before a checkpoint, and sets its
// length only after one that has copied all frames.
func (f *Files) lacksPages(x wal.Index) bool {
	if x.Attempted != x.Copied || x.Copied != x.Frames || f.mainIsWhole() && !HasHole(f.main) {
		return false
	}
	after, err := wal.ReadIndex(f.shm)
	return err == nil && after == x // else another process has begun a checkpoint
}

// HasHole reports whether a page that is in use was never written to a main file: the file
// was truncated, and pages were written behind its new end.
func HasHole(main *os.File) bool {
	holes, err := disk.Holes(main)
	if err != nil || len(holes) == 0 {
		return false
	}
	pages, err := tables.PageCount(main)
	unused, err2 := tables.NeverWritten(main)
	for _, h := range holes {
		for page := (h.Start+tables.PageSize-1)/tables.PageSize + 1; page*tables.PageSize <= h.End; page++ {
			if err != nil || err2 != nil || pages == 0 || page <= pages && !unused[page] {
				return true
			}
		}
	}
	return false
}

// CheckWAL returns an error unless the salts of the WAL frames are right. With next, it
// checks all frames that the next checkpoint will copy to the main file; otherwise a
// sample of a few hundred of all frames. So it finds a WAL that was truncated and has
// grown again, which has a hole. state returns the present number of frames, and how
// many of them are in the main file.
func (f *Files) CheckWAL(next bool, state func() (frames, copied int64)) error {
	for {
		before, err := wal.ReadIndex(f.shm)
		if err != nil {
			return fmt.Errorf("the file %s%s %w: %w", f.path, disk.SHM, ErrSHM, err)
		}
		frames, copied := state()
		if frames == copied {
			return nil
		}
		from, every := int64(0), max(1, frames/sampledFrames)
		if next {
			from, every = copied, 1
		}
		bad, err := wal.CheckSalts(f.path+disk.WAL, tables.PageSize, from, frames, every)
		switch {
		case bad >= 0:
			err = errors.Join(fmt.Errorf("the file %s%s %w from page %d of %d", f.path, disk.WAL, ErrDamaged, bad, frames), err)
		case err == nil:
			return nil
		}
		after, err2 := wal.ReadIndex(f.shm)
		if err2 != nil || after.Generation == before.Generation {
			return err
		}
		f.changed = true // another process has restarted the WAL meanwhile
	}
}
