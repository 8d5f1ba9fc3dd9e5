package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// copyMargin is the free space in bytes that a copy leaves for new events.
const copyMargin = 16 << 20

// Backup implements queue.Backuper. SQLite writes a consistent copy to a file beside
// the store, without delaying other work. Backup then writes that file to w.
func (q *Queue) Backup(ctx context.Context, w io.Writer, p queue.Progress) (err error) {
	if err := q.closed(); err != nil {
		return err
	}
	if !q.copying.TryLock() {
		return fmt.Errorf("copying %s: %w", q.path, queue.ErrBusy)
	}
	defer q.copying.Unlock()
	defer func() {
		if err != nil {
			err = fmt.Errorf("copying %s: %w", q.path, err)
		}
	}()
	temp, err := disk.CreateTemp(q.path, disk.Copy)
	if err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, temp.Close(), os.Remove(temp.Name()))
	}()
	ended := make(chan struct{})
	defer close(ended)
	go syncPeriodically(temp, ended)
	err = q.copiers.With(ctx, func(c *tables.Conn) error {
		if err := q.roomToCopy(c); err != nil {
			return err
		}
		return c.Query(ctx, `VACUUM INTO ?`, func([]driver.Value) error { return nil }, temp.Name())
	})
	if err != nil {
		return err
	}
	if err := tables.MakeDistinct(temp.Name()); err != nil {
		return err
	}
	info, err := temp.Stat()
	if err != nil {
		return err
	}
	for done := int64(0); done < info.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		n, err := io.CopyN(w, temp, 1<<20)
		done += n
		if err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		p.Report(done, info.Size())
	}
	return nil
}

// syncPeriodically syncs a file to the disk from time to time while it grows. A single
// sync at the end would delay the syncs of the store.
func syncPeriodically(f *os.File, ended <-chan struct{}) {
	for {
		select {
		case <-ended:
			return
		case <-time.After(20 * time.Millisecond):
			_ = f.Sync() // an error appears again where it matters
		}
	}
}

// roomToCopy returns an error if a copy would leave too little room for events.
func (q *Queue) roomToCopy(c *tables.Conn) error {
	pages, err := c.Number(`PRAGMA page_count`)
	if err != nil {
		return err
	}
	unused, err := c.Number(`PRAGMA freelist_count`)
	if err != nil {
		return err
	}
	needed := uint64((pages-unused)*tables.PageSize) + copyMargin
	free, _, err := q.options.space(filepath.Dir(q.path))
	if err == nil && free < needed {
		return fmt.Errorf("%w: the copy needs %d bytes next to the store, and %d are free; make room there", policy.ErrNoRoom, needed, free)
	}
	return nil
}
