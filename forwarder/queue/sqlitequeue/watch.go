package sqlitequeue

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/wal"
)

const (
	// checkedWithin is how long ago the files may have been found in order when an event
	// is acknowledged.
	checkedWithin = 20 * time.Millisecond

	minSHM = 32 << 10 // bytes of the smallest shared-memory file
)

// files are the files that are open, as they should be.
type files struct {
	watch     *disk.Watch
	main      *os.File
	shm       *os.File    // closed after the connections: SQLite loses its locks on it then
	wal       fs.FileInfo // when it was opened
	metaPage  int64       // the page with the row of meta
	left      mark        // the main file as the last checkpoint left it
	index     wal.Index   // what checkpoints had done before left was read
	committed bool        // whether there was a commit since index was read
	elsewhere bool        // whether another process makes a checkpoint
	checked   time.Time

	found fs.FileInfo // at the path, at the last attempt to open it anew
}

// A mark identifies the content of a main file by the header of the database and by the
// row that every commit changes. The WAL of a store belongs to the main file that has
// the mark of its last checkpoint, and to no other.
type mark [sha256.Size]byte

func (f *files) markOf(main io.ReaderAt) (m mark) {
	h := sha256.New()
	for _, page := range []int64{1, f.metaPage} {
		_, _ = io.Copy(h, io.NewSectionReader(main, (page-1)*tables.PageSize, tables.PageSize)) // what cannot be read has another mark
	}
	h.Sum(m[:0])
	return m
}

// watchFiles begins to watch the files that have been opened.
func (q *Queue) watchFiles() (err error) {
	f := files{checked: time.Now()}
	if f.metaPage, err = q.writing.Number(`SELECT rootpage FROM sqlite_schema WHERE name = 'meta'`); err != nil {
		return err
	}
	if f.wal, err = os.Stat(q.path + disk.WAL); err != nil {
		return err
	}
	if f.main, err = os.Open(q.path); err != nil {
		return err
	}
	if f.shm, err = os.Open(q.path + disk.SHM); err != nil {
		return errors.Join(err, f.main.Close())
	}
	q.files = f
	if f.index, err = wal.ReadIndex(f.shm); err != nil {
		return err
	}
	if f.watch, err = disk.NewWatch(q.path); err != nil {
		return err
	}
	f.left = f.markOf(f.main)
	q.files = f
	return nil
}

// noteMain notes the main file after a change of this process's own.
func (q *Queue) noteMain() {
	if x, err := wal.ReadIndex(q.files.shm); err == nil {
		q.files.index, q.files.committed = x, false
	}
	if q.files.watch.Note() == nil {
		q.files.left = q.files.markOf(q.files.main)
	} // else the next check finds what is wrong
}

// checkpointElsewhere reports whether a change of the files can be a checkpoint of
// another process. SQLite's own account of the WAL is in the shared-memory file, and no
// program changes that by copying or truncating a file. While such a checkpoint runs the
// files are not compared.
func (q *Queue) checkpointElsewhere(change error) bool {
	f := &q.files
	x, err := wal.ReadIndex(f.shm)
	switch {
	case err != nil || !x.CheckpointSince(f.index, f.committed):
		return false
	case x.Attempted > x.Copied:
		f.watch.Writing()
		f.elsewhere = true
		return true
	}
	q.changed = true
	if errors.Is(change, disk.ErrWAL) {
		log, err := os.Stat(q.path + disk.WAL)
		return err == nil && os.SameFile(log, f.wal) && log.Size() >= wal.Size(x.Frames, tables.PageSize)
	}
	return q.mainIsWhole()
}

// mainIsWhole reports whether the main file is as long as its header says.
func (q *Queue) mainIsWhole() bool {
	pages, err := tables.PageCount(q.files.main)
	info, err2 := q.files.main.Stat()
	return err == nil && err2 == nil && info.Size() >= pages*tables.PageSize
}

// watchFile looks whether the files are those that were opened, and as they were left.
// Where they are not, nothing is committed until they are again, or there is another
// store at the path.
func (q *Queue) watchFile() {
	if err := q.usable(); err != nil {
		if err := q.resume(); err != nil {
			q.Failed(err)
		}
		return
	}
	err := q.checkFile()
	if err == nil {
		err = q.walHolds(false)
	}
	if err != nil {
		q.lose(err)
	}
}

// checkFile returns what happened to the files.
func (q *Queue) checkFile() error {
	f := &q.files
	err := f.watch.Check()
	inMain := errors.Is(err, disk.ErrOverwritten) || errors.Is(err, disk.ErrTruncated)
	switch {
	case errors.Is(err, disk.ErrOverwritten) && f.markOf(f.main) == f.left:
		q.noteMain() // touch, or a change in the middle, which reading detects
		err = nil
	case inMain && q.checkpointElsewhere(err):
		if !f.elsewhere {
			q.noteMain()
		}
		err = nil
	case err == nil && f.elsewhere:
		if x, shmErr := wal.ReadIndex(f.shm); shmErr == nil && x.Attempted == x.Copied && q.mainIsWhole() {
			f.elsewhere = false
			q.changed = true
			q.noteMain()
		}
	}
	if err == nil {
		if info, shmErr := os.Stat(q.path + disk.SHM); shmErr != nil || info.Size() < minSHM {
			err = fmt.Errorf("the file %s%s %w", q.path, disk.SHM, errSHM)
		} else if x, err := wal.ReadIndex(f.shm); err == nil {
			if x.Generation == f.index.Generation {
				f.index.Frames = x.Frames
			}
			f.committed = false
		}
	}
	f.checked = time.Now()
	return err
}

var (
	errSHM     = errors.New("was removed or truncated while in use")
	errDamaged = errors.New("is damaged")
)

// checkFileNow returns an error where a commit goes, or has gone, to files that nobody
// finds again.
func (q *Queue) checkFileNow() error {
	if time.Since(q.files.checked) < checkedWithin {
		return nil
	}
	err := q.checkFile()
	if err != nil {
		q.lose(err)
	}
	return err
}

// walHolds returns an error unless the frames of the WAL are those that were written to
// it, as far as their salts show: of all frames that the next checkpoint would copy to the
// main file, whatever is there, or of a few hundred of all. A WAL that was cut off and has
// grown again has a hole.
func (q *Queue) walHolds(next bool) error {
	for {
		before, err := wal.ReadIndex(q.files.shm)
		if err != nil {
			return fmt.Errorf("the file %s%s %w: %w", q.path, disk.SHM, errSHM, err)
		}
		if q.refreshWAL(); q.wal.log == q.wal.done {
			return nil
		}
		from, every := int64(0), max(1, q.wal.log/walPages)
		if next {
			from, every = q.wal.done, 1
		}
		if err = framesHold(q.path, from, q.wal.log, every); err == nil {
			return nil
		}
		after, err2 := wal.ReadIndex(q.files.shm)
		if err2 != nil || after.Generation == before.Generation {
			return err
		}
		q.changed = true // another process has begun the WAL anew meanwhile
	}
}

// framesHold returns an error unless every so many of the frames from..to of a database's
// WAL have its salts.
func framesHold(path string, from, to, every int64) error {
	f, err := os.Open(path + disk.WAL)
	if err != nil {
		return err
	}
	defer f.Close()
	var head, frame [24]byte
	_, err = f.ReadAt(head[:], 0)
	magic := binary.BigEndian.Uint32(head[:]) &^ 1
	for i := from; i < to; i += every {
		if err == nil {
			_, err = f.ReadAt(frame[:], 32+i*(24+tables.PageSize))
		}
		if err != nil || magic != 0x377f0682 || !bytes.Equal(frame[8:16], head[16:24]) {
			return errors.Join(fmt.Errorf("the file %s%s %w from page %d of %d", path, disk.WAL, errDamaged, i, to), err)
		}
	}
	return nil
}

// lose has nothing committed any more, for a reason that checkFile has returned. What is
// wrong with a side file is put right at once.
func (q *Queue) lose(reason error) {
	q.broken.Store(&reason)
	q.files.found = nil
	inMain, sideFile := errors.Is(reason, disk.ErrTruncated) || errors.Is(reason, disk.ErrOverwritten), false
	switch {
	case errors.Is(reason, errSHM):
		sideFile = true
	case errors.Is(reason, errDamaged), errors.Is(reason, disk.ErrWAL) && inMain:
		sideFile = true
		if err := q.detach(); err != nil {
			q.damaged(err)
		}
		reason = q.keepWAL(reason)
	case errors.Is(reason, disk.ErrWAL):
		// The WAL that is open has all of it.
		sideFile = q.takeWAL()
	case inMain:
		// No checkpoint may write into it, nor any reader read from it.
		_ = q.detach()
	}
	if sideFile {
		if n, err := q.reopen(); err == nil {
			q.damaged(fmt.Errorf("%w; %d events that were missing have been stored again from memory", reason, n))
			return
		}
	}
	q.Failed(reason)
}

// takeWAL takes all of the WAL to the main file, and closes the files. What is at the
// WAL's name then is another program's.
func (q *Queue) takeWAL() bool {
	q.files.watch.Writing()
	for range 100 { // a reader may be in the way
		if !q.inspectWAL("TRUNCATE") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if q.wal.done < q.wal.log {
		return false
	}
	_ = q.detach()
	_, err := q.setAsideWAL()
	return err == nil
}

// walInOrder reports whether the WAL is as it was written, up to its newest commit. Where
// it is not, what can be read of it is.
func (q *Queue) walInOrder() bool {
	q.inspectWAL("NOOP")
	r, err := wal.Inspect(q.path + disk.WAL)
	if err != nil || int64(r.Frames) >= q.wal.log {
		return true
	}
	q.lose(fmt.Errorf("the file %s%s %w: %d of its %d pages can be read", q.path, disk.WAL, errDamaged, r.Frames, q.wal.log))
	return false
}

// keepWAL decides whether a WAL that is damaged or cut off is used: SQLite reads it up
// to the damage. It must not where the main file has newer pages than those. It returns
// the reason with what that costs.
func (q *Queue) keepWAL(reason error) error {
	r, err := wal.Inspect(q.path + disk.WAL)
	var kept string
	reads := int64(r.Frames)
	switch w := q.wal; {
	case err == nil && reads >= w.log && w.log > w.done:
		return fmt.Errorf("%w; nothing is lost", reason)
	case w.log == w.done:
		kept, err = q.setAsideWAL()
		reason = fmt.Errorf("%w; all of it is in the main file, and nothing is lost%s", reason, kept)
	case err == nil && reads >= w.done:
		reason = fmt.Errorf("%w; events that were stored last are lost where they were not delivered yet, up to %d of %d pages", reason, w.log-reads, w.log)
	default:
		kept, err = q.setAsideWAL()
		reason = fmt.Errorf("%w; events that were stored last are lost where they were not delivered yet, up to %d pages%s", reason, w.log-w.done, kept)
	}
	return errors.Join(reason, err)
}

// setAsideWAL moves a WAL away that does not belong to the main file, and returns where to
// for a report, or "".
func (q *Queue) setAsideWAL() (kept string, err error) {
	info, err := os.Stat(q.path + disk.WAL)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return "", nil
	}
	name := disk.UnusedName(q.path + disk.WAL + ".replaced-")
	return "; the WAL is kept as " + name + " and can be deleted", os.Rename(q.path+disk.WAL, name)
}

// detach closes the files without a checkpoint.
func (q *Queue) detach() error {
	release, err := disk.PreventCheckpoint(q.path)
	if err != nil { // there is no file at the path, and SQLite makes no checkpoint
		release = func() error { return nil }
	}
	return errors.Join(q.disconnect(), release())
}

// reopen opens the files at the path, and reads anew what is kept in memory of them. It
// returns how many events it has stored that only memory had.
func (q *Queue) reopen() (restored int, err error) {
	_, err = os.Stat(q.path)
	if err == nil {
		err = q.detach()
	}
	if err == nil {
		err = q.notShared()
	}
	if err == nil {
		if err = os.Remove(q.path + disk.SHM); errors.Is(err, fs.ErrNotExist) {
			err = nil
		}
	}
	if err == nil {
		err = q.attach()
	}
	if err != nil {
		return 0, err
	}
	seqs, events := q.recent.all()
	q.forgetUnreadable()
	q.recent.clear()
	q.broken.Store(nil)
	restored = q.restore(seqs, events)
	q.rereadAll()
	q.writer.Unpark()
	if q.options.OnFailure != nil {
		q.options.OnFailure(nil)
	}
	return restored, nil
}

// notShared returns an error where another program has the file open. With a file, a WAL or
// a shared-memory file of its own, it would ruin the store.
func (q *Queue) notShared() error {
	used, err := disk.InUse(q.path)
	if used {
		return fmt.Errorf("another program has %s open: end it", q.path)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// rereadAll has what is due read from the file again.
func (q *Queue) rereadAll() {
	for _, l := range q.leases.all() {
		l.reread()
		q.wakeUp(l.upstream)
	}
}

// resume opens the file at the path where that is the one that was open, or another
// store that is complete. It returns why nothing is committed yet.
func (q *Queue) resume() error {
	reason := q.usable()
	f := &q.files
	if q.writing != nil && f.watch.Check() == nil && f.markOf(f.main) == f.left {
		_, err := q.reopen()
		return err
	}
	info, err := os.Stat(q.path)
	before := f.found
	f.found = info
	if err != nil || before == nil || !os.SameFile(info, before) || info.Size() != before.Size() || !info.ModTime().Equal(before.ModTime()) {
		return reason // nothing there, or still being written
	}
	main, err := os.Open(q.path)
	if err != nil {
		return reason
	}
	ours := f.markOf(main) == f.left
	unfiled := make(map[int64]*tables.Record)
	for _, r := range q.unfiled.all() {
		unfiled[r.Seq] = r
	}
	if err := errors.Join(main.Close(), q.inspect(info.Size())); err != nil {
		return fmt.Errorf("%w; what is there now cannot be used: %w", reason, err)
	}
	var old *tables.Conn
	if !ours {
		if q.writing != nil {
			old, q.writing = q.writing, nil
		}
		if log, err := os.Stat(q.path + disk.WAL); err == nil && os.SameFile(log, f.wal) {
			kept, err := q.setAsideWAL()
			if err != nil {
				return err
			}
			reason = fmt.Errorf("%w%s", reason, kept)
		}
	}
	restored, err := q.reopen()
	if err != nil {
		q.writing = old
		return fmt.Errorf("%w; what is there now cannot be used: %w", reason, err)
	}
	q.replaced(reason, ours, old, unfiled, restored)
	return nil
}

// inspect returns an error unless there is a store of this version at the path, in a
// file that is as long as it has to be. Nothing is changed.
func (q *Queue) inspect(size int64) error {
	if err := tables.CheckHeader(q.path); err != nil {
		return err
	}
	c, err := tables.Open(q.path, url.Values{"mode": {"ro"}, "immutable": {"1"}})
	if err != nil {
		return err
	}
	pages, err := c.Number(`PRAGMA page_count`)
	if err == nil && pages*tables.PageSize > size {
		err = errors.New("it is shorter than it was")
	}
	var m *tables.Meta
	if err == nil {
		m, err = tables.ReadMeta(c)
	}
	if err == nil {
		_, err = resolveKeys(q.path, q.keys, m.Counts.Keys(), false)
	}
	return errors.Join(err, c.Close())
}

// replaced reports that another file is in use than before. Old is open on the file
// before, where that can be read; unfiled are its events of which memory has the state.
func (q *Queue) replaced(reason error, same bool, old *tables.Conn, unfiled map[int64]*tables.Record, restored int) {
	switch {
	case same:
		q.damaged(fmt.Errorf("%w; it is back as it was", reason))
	case old == nil:
		q.damaged(fmt.Errorf("%w; the store that is at the path now is used, with %d events from memory: others that are not in it are lost", reason, restored))
	default:
		q.takeOver(&takeOver{q: q, reason: reason, old: old, unfiled: unfiled, taken: restored})
	}
}
