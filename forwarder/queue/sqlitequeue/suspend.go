package sqlitequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/wal"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/watch"
)

// checkStore looks whether the files are those that were opened, and as they were left.
// Where they are not, nothing is committed until they are again, or there is another
// store at the path.
func (q *Queue) checkStore() {
	if err := q.usable(); err != nil {
		if err := q.resume(); err != nil {
			q.Failed(err)
		}
		return
	}
	err := q.files.Check()
	if err == nil {
		err = q.checkWAL(false)
	}
	if err != nil {
		q.suspend(err)
	}
}

// checkFiles returns an error where a commit goes, or has gone, to files that the path does
// not lead to, and suspends the queue then.
func (q *Queue) checkFiles() error {
	err := q.files.CheckSoon()
	if err != nil {
		q.suspend(err)
	}
	return err
}

// checkWAL returns an error unless the frames of the WAL are as they were written: those
// that the next checkpoint copies, or some of all.
func (q *Queue) checkWAL(next bool) error {
	return q.files.CheckWAL(next, func() (frames, copied int64) {
		q.refreshWAL()
		return q.wal.frames, q.wal.copied
	})
}

// suspend stops committing, for a reason that the files were found wrong. What is
// wrong with a side file is put right at once.
func (q *Queue) suspend(reason error) {
	q.suspended.Store(&reason)
	q.found = nil
	inMain, sideFile := errors.Is(reason, disk.ErrTruncated) || errors.Is(reason, disk.ErrOverwritten), false
	switch {
	case errors.Is(reason, watch.ErrSHM):
		sideFile = true
	case errors.Is(reason, watch.ErrDamaged), errors.Is(reason, disk.ErrWAL) && inMain:
		sideFile = true
		if err := q.detach(); err != nil {
			q.damaged(err)
		}
		reason = q.keepWAL(reason)
	case errors.Is(reason, disk.ErrWAL):
		// The WAL that is open has all of it.
		sideFile = q.emptyWAL()
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

// emptyWAL takes all of the WAL to the main file, and closes the files. What is at the
// WAL's name then is another program's.
func (q *Queue) emptyWAL() bool {
	q.files.Writing()
	for range 100 { // a reader may be in the way
		if !q.inspectWAL("TRUNCATE") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if q.wal.copied < q.wal.frames {
		return false
	}
	_ = q.detach()
	_, err := q.setAsideWAL()
	return err == nil
}

// keepWAL decides whether a WAL that is damaged or cut off is used: SQLite reads it up
// to the damage. It must not where the main file has newer pages than those. It returns
// the reason with what that costs.
func (q *Queue) keepWAL(reason error) error {
	r, err := wal.Inspect(q.path + disk.WAL)
	var kept string
	reads := int64(r.Frames)
	switch w := q.wal; {
	case err == nil && reads >= w.frames && w.frames > w.copied:
		return fmt.Errorf("%w; nothing is lost", reason)
	case w.frames == w.copied:
		kept, err = q.setAsideWAL()
		reason = fmt.Errorf("%w; all of it is in the main file, and nothing is lost%s", reason, kept)
	case err == nil && reads >= w.copied:
		reason = fmt.Errorf("%w; events that were stored last are lost where they were not delivered yet, up to %d of %d pages", reason, w.frames-reads, w.frames)
	default:
		kept, err = q.setAsideWAL()
		reason = fmt.Errorf("%w; events that were stored last are lost where they were not delivered yet, up to %d pages%s", reason, w.frames-w.copied, kept)
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
	recent := q.recent.All()
	q.forgetUnreadable()
	q.recent.Clear()
	q.suspended.Store(nil)
	restored = q.restoreRecent(recent)
	q.rereadAll()
	q.writer.RetryFull()
	if q.options.OnFailure != nil {
		q.options.OnFailure(nil)
	}
	return restored, nil
}

// resume opens the file at the path where that is the one that was open, or another
// store that is complete. It returns why nothing is committed yet.
func (q *Queue) resume() error {
	reason := q.usable()
	if q.writing != nil && q.files.AsLeft() {
		_, err := q.reopen()
		return err
	}
	info, err := os.Stat(q.path)
	before := q.found
	q.found = info
	if err != nil || before == nil || !os.SameFile(info, before) || info.Size() != before.Size() || !info.ModTime().Equal(before.ModTime()) {
		return reason // nothing there, or still being written
	}
	main, err := os.Open(q.path)
	if err != nil {
		return reason
	}
	ours := q.files.IsLeft(main)
	unfiled := make(map[int64]*tables.Record)
	for _, r := range q.unfiled.All() {
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
		if q.files.HasWAL() {
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
		q.takeOver(&takeOver{q: q, reason: reason, old: old, unfiled: unfiled, stored: restored})
	}
}
