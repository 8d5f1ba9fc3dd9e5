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

// checkStore checks that the files are the opened ones and were not changed by others.
// If not, it suspends commits until the files are restored, or until another store is
// at the path.
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

// checkFiles returns an error if a commit goes or went to files that are no longer at
// the path, and suspends the queue.
func (q *Queue) checkFiles() error {
	err := q.files.CheckSoon()
	if err != nil {
		q.suspend(err)
	}
	return err
}

// checkWAL returns an error unless the WAL frames are unchanged. It checks the frames
// that the next checkpoint copies, or a sample of all.
func (q *Queue) checkWAL(next bool) error {
	return q.files.CheckWAL(next, func() (frames, copied int64) {
		q.refreshWAL()
		return q.wal.frames, q.wal.copied
	})
}

// suspend stops commits because of a problem with the files. It repairs a problem with
// a side file at once.
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
		// The open WAL is complete.
		sideFile = q.emptyWAL()
	case inMain:
		// No checkpoint may write into the file, and no reader may read from it.
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

// emptyWAL copies the whole WAL to the main file, and closes the files. The file at the
// WAL's name belongs to another program.
func (q *Queue) emptyWAL() bool {
	q.files.Writing()
	for range 100 { // a reader may block the checkpoint
		if !q.inspectWAL("TRUNCATE") {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if q.wal.copied < q.wal.frames {
		return false
	}
	_ = q.detach()
	_, err := q.moveWAL()
	return err == nil
}

// keepWAL decides whether to use a damaged or truncated WAL, which SQLite reads up to
// the damage. It must not be used if the main file has newer pages. keepWAL returns the
// reason and its consequences.
func (q *Queue) keepWAL(reason error) error {
	r, err := wal.Inspect(q.path + disk.WAL)
	var kept string
	reads := int64(r.Frames)
	switch w := q.wal; {
	case err == nil && reads >= w.frames && w.frames > w.copied:
		return fmt.Errorf("%w; nothing is lost", reason)
	case w.frames == w.copied:
		kept, err = q.moveWAL()
		reason = fmt.Errorf("%w; the main file has all of it, and nothing is lost%s", reason, kept)
	case err == nil && reads >= w.copied:
		reason = fmt.Errorf("%w; the events that were stored last and not delivered yet are lost, up to %d of %d pages", reason, w.frames-reads, w.frames)
	default:
		kept, err = q.moveWAL()
		reason = fmt.Errorf("%w; the events that were stored last and not delivered yet are lost, up to %d pages%s", reason, w.frames-w.copied, kept)
	}
	return errors.Join(reason, err)
}

// moveWAL moves away a WAL that does not belong to the main file. It returns the
// new name for a report, or "".
func (q *Queue) moveWAL() (kept string, err error) {
	info, err := os.Stat(q.path + disk.WAL)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() == 0 {
		return "", nil
	}
	name := disk.UnusedName(q.path + disk.WAL + ".replaced-")
	return "; the WAL is kept as " + name + " and can be deleted", os.Rename(q.path+disk.WAL, name)
}

// reopen opens the files at the path, and reads again the state that is kept in memory.
// It returns how many events it stored again from memory.
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

// resume opens the file at the path if that is the file that was open, or another
// complete store. Otherwise it returns why commits stay suspended.
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
		return reason // missing, or still being written
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
	var hole error
	if watch.HasHole(main) {
		hole = errors.New("pages of it are missing")
	}
	if err := errors.Join(hole, main.Close(), q.inspect(info.Size())); err != nil {
		return fmt.Errorf("%w; the file that is at the path now cannot be used: %w", reason, err)
	}
	var old *tables.Conn
	if !ours {
		if q.writing != nil {
			old, q.writing = q.writing, nil
		}
		if q.files.HasWAL() {
			kept, err := q.moveWAL()
			if err != nil {
				return err
			}
			reason = fmt.Errorf("%w%s", reason, kept)
		}
	}
	restored, err := q.reopen()
	if err != nil {
		q.writing = old
		return fmt.Errorf("%w; the file that is at the path now cannot be used: %w", reason, err)
	}
	q.replaced(reason, ours, old, unfiled, restored)
	return nil
}

// inspect returns an error unless the file at the path is a complete store of this
// version. It changes nothing.
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

// replaced reports that the queue uses another file. old is a connection to the
// previous file, or nil if that file is unreadable. unfiled are the events of that file
// whose newest state is in memory.
func (q *Queue) replaced(reason error, same bool, old *tables.Conn, unfiled map[int64]*tables.Record, restored int) {
	switch {
	case same:
		q.damaged(fmt.Errorf("%w; the original file is back", reason))
	case old == nil:
		q.damaged(fmt.Errorf("%w; the queue now uses the store at the path, with %d events from memory; other events that are not in it are lost", reason, restored))
	default:
		q.takeOver(&takeOver{q: q, reason: reason, old: old, unfiled: unfiled, stored: restored})
	}
}
