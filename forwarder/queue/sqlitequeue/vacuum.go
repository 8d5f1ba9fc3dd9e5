package sqlitequeue

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Compact implements queue.Compacter. It returns all free pages to the file system, a
// slice at a time.
func (q *Queue) Compact(ctx context.Context, p queue.Progress) (out queue.Compacted, err error) {
	if err := q.closed(); err != nil {
		return out, err
	}
	if !q.compacting.TryLock() {
		return out, fmt.Errorf("compacting %s: %w", q.path, queue.ErrBusy)
	}
	defer q.compacting.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("compacting %s: %w", q.path, err)
		}
	}()
	err = q.do(ctx, func(t *tx) error {
		t.publish(func() { q.checkpoint("TRUNCATE") })
		return nil
	})
	if err != nil {
		return out, err
	}
	if out.Before, err = q.size(); err != nil {
		return out, err
	}
	total, free := int64(-1), int64(1)
	for free > 0 {
		err := q.do(ctx, func(t *tx) (err error) {
			if total < 0 {
				if total, err = t.c.Number(`PRAGMA freelist_count`); err != nil {
					return err
				}
			}
			if err := t.vacuum(vacuumPages / 4); err != nil {
				return err
			}
			if free, err = t.c.Number(`PRAGMA freelist_count`); free == 0 {
				t.publish(func() { q.checkpoint("TRUNCATE") })
			}
			return err
		})
		if err != nil {
			return out, err
		}
		p.Report(max(0, total-free)*tables.PageSize, total*tables.PageSize)
	}
	p.Report(total*tables.PageSize, total*tables.PageSize)
	out.After, err = q.size()
	return out, err
}

// size returns the size of the main file and the WAL in bytes.
func (q *Queue) size() (int64, error) {
	main, err := os.Stat(q.path)
	if err != nil {
		return 0, err
	}
	wal, err := os.Stat(q.path + disk.WAL)
	if err != nil {
		return 0, err
	}
	return main.Size() + wal.Size(), nil
}

// vacuumSlice returns a slice of the free pages to the file system if many are free or
// the disk is full, and reports whether there are more.
func (q *Queue) vacuumSlice() (more bool) {
	s := &q.steps
	free, err := q.writing.Number(`PRAGMA freelist_count`)
	if err != nil || free == 0 {
		s.vacuuming = false
		return false
	}
	pages, most := int64(0), int64(vacuumPages)
	if q.room.released || q.room.short {
		most = leastSlice
	} else if pages, err = q.writing.Number(`PRAGMA page_count`); err != nil || free < enoughFree || free < pages/8 {
		s.vacuuming = false
		return false
	} else if free > s.free { // a backlog is being delivered: at its end there is less to move
		s.free = free
		return false
	}
	if !s.vacuuming && free < pages/4 {
		return false
	}
	s.vacuuming = true
	began := time.Now()
	more = q.step(func(t *tx) (bool, error) { return true, t.vacuum(min(max(s.slice, leastSlice), most)) })
	if time.Since(began) > vacuumTime {
		s.slice /= 2
	} else {
		s.slice += s.slice / 4
	}
	s.slice = min(max(s.slice, leastSlice), vacuumPages)
	s.free, _ = q.writing.Number(`PRAGMA freelist_count`) // if it fails, the next slice fails too
	return more
}

// vacuum returns a slice of free pages to the file system.
func (t *tx) vacuum(pages int64) error {
	t.written = true
	return t.c.Run(fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, pages))
}
