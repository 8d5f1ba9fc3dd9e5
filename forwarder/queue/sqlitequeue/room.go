package sqlitequeue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	// roomEvery is how often the free space is read while there is plenty.
	roomEvery = 100 * time.Millisecond
	plenty    = 256 << 20

	storeMargin = 64 << 10 // that stores leave free; outcomes have the reserve

	reserveEvery = time.Second // between two checks of the reserve
)

// room is the state of the space on the disk.
type room struct {
	space    func(dir string) (free, total uint64, err error)
	reserve  *disk.Reserve // nil if the free space is unknown
	size     int64         // of the reserve
	released bool
	short    bool // whether events could not be stored or completed
	asked    time.Time
	free     int64
	tried    time.Time
}

// releaseReserve releases the reserve, so that changes that make room succeed, and
// reports whether there was one.
func (q *Queue) releaseReserve() bool {
	r := &q.room
	if r.reserve == nil {
		return false
	}
	r.released = true
	return r.reserve.Release()
}

// ensureReserve creates the reserve again if there is room.
func (q *Queue) ensureReserve(now time.Time) {
	r := &q.room
	if r.reserve != nil && due(now, &r.tried, reserveEvery) && (r.released || !r.reserve.Held()) {
		r.released = r.reserve.Ensure() != nil
	}
}

// roomToStore returns an error while the disk has no room for a batch of events. Stored
// and completed events must leave enough room for other outcomes, which make room.
func (q *Queue) roomToStore(b *policy.Batch) error {
	r := &q.room
	now := time.Now()
	if r.reserve == nil || !r.released && r.free >= plenty && now.Before(r.asked) {
		return nil
	}
	needed, usable, err := q.needs(b)
	if err == nil && usable < needed && q.walIsLong() {
		q.checkpoint("TRUNCATE")
		needed, usable, err = q.needs(b)
	}
	r.asked, r.short = now.Add(roomEvery), false
	switch {
	case err != nil:
		return err
	case r.released:
		err = fmt.Errorf("nothing is stored until there is room for the file %s.reserve", q.path)
	case usable < needed:
		err = fmt.Errorf("%d bytes are usable and %d are needed", usable, needed)
	default:
		return nil
	}
	r.short = true
	return fmt.Errorf("writing to %s: %w: %w; make room on the disk", q.path, policy.ErrNoRoom, err)
}

// needs returns how many bytes a batch needs and how many are usable. Neither depends
// on the present size of the WAL or on the number of free pages: a checkpoint or a
// vacuum only moves bytes and makes no room.
func (q *Queue) needs(b *policy.Batch) (needed, usable int64, err error) {
	if err := q.usable(); err != nil {
		return 0, 0, err
	}
	if needed, err = q.growth(); err != nil {
		return 0, 0, err
	}
	unused, err := q.writing.Number(`PRAGMA freelist_count`)
	if err != nil {
		return 0, 0, err
	}
	free, _, err := q.room.space(filepath.Dir(q.path))
	if err != nil {
		free = plenty // without room SQLite returns an error
	}
	q.room.free = int64(min(free, 1<<62))
	needed += storeMargin + max(0, fewPages*tables.PageSize-q.walSize())
	for _, s := range b.Stores { // in the WAL, and then in the main file
		needed += 2 * (int64(len(s.Sealed)) + tables.PageSize)
	}
	for _, o := range b.Outcomes {
		if n := int64(o.Bytes()); n > 0 {
			needed += 2 * (n + tables.PageSize)
		}
	}
	return needed, q.room.free + unused*tables.PageSize, nil
}

// walSize returns the size of the WAL file.
func (q *Queue) walSize() int64 {
	info, err := os.Stat(q.path + disk.WAL)
	if err != nil {
		return 0
	}
	return info.Size()
}

// walIsLong reports whether the WAL file is longer than necessary.
func (q *Queue) walIsLong() bool { return q.walSize() > 2*fewPages*tables.PageSize }

// growth returns by how many bytes the next checkpoint will extend the main file.
func (q *Queue) growth() (int64, error) {
	pages, err := q.writing.Number(`PRAGMA page_count`)
	if err != nil {
		return 0, err
	}
	size, err := q.files.MainSize()
	if err != nil {
		return 0, err
	}
	return max(0, pages*tables.PageSize-size), nil
}

// roomToCheckpoint returns an error if a checkpoint would fill the disk before it ends:
// the main file would then use all space, and nothing could be committed any more.
func (q *Queue) roomToCheckpoint() error {
	if q.room.reserve == nil {
		return nil
	}
	growth, err := q.growth()
	if err != nil || growth == 0 {
		return err
	}
	free, _, err := q.room.space(filepath.Dir(q.path))
	if err != nil || free >= uint64(growth) {
		return nil //nolint:nilerr // without room SQLite returns an error
	}
	if q.releaseReserve() {
		return q.roomToCheckpoint()
	}
	return fmt.Errorf("copying the WAL to %s: %w: %d bytes are free and %d are needed; make room on the disk", q.path, policy.ErrNoRoom, free, growth)
}

// makeRoom releases the reserve if a change failed because the disk is full, so that
// changes that make room succeed. It returns the error of the change.
func (q *Queue) makeRoom(err error) error {
	if !isFull(err) {
		return err
	}
	q.releaseReserve()
	return fmt.Errorf("%w: %w", policy.ErrNoRoom, err)
}

// isFull reports whether the error means a full disk.
func isFull(err error) bool {
	e, ok := errors.AsType[*sqlite.Error](err)
	return ok && (e.Code() == sqlite3.SQLITE_FULL || e.Code() == sqlite3.SQLITE_IOERR_WRITE || e.Code() == sqlite3.SQLITE_IOERR_SHMSIZE)
}
