package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/wal"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/watch"
)

const (
	// walPages is the number of uncopied WAL pages at which a checkpoint is due. It
	// takes 6 to 8 ms.
	walPages = 500
	fewPages = 25 // on a full disk

	// walLong is the number at which a checkpoint is too slow for the writer: it would
	// take about 40 ms.
	walLong = 2500

	lookPause       = 10 * time.Millisecond  // between two looks at the WAL's length
	checkpointPause = time.Second            // between two checkpoints while a reader blocks them
	truncatePause   = 250 * time.Millisecond // between two attempts to empty the WAL
)

// walState is the state of the WAL. It is exact: SQLite's automatic checkpoints are
// off, and only the queue makes checkpoints. So any change of the main file that the
// queue did not announce to the watch was made by another process.
type walState struct {
	frames  int64 // of the WAL's current generation
	copied  int64 // how many of them are in the main file
	tried   int64 // frames at the last checkpoint
	triedAt time.Time
	looked  time.Time // when to look again
}

// checkpointIfDue copies a WAL that has grown to the main file, without truncating the
// WAL: SQLite then overwrites the WAL from its beginning, and a file that does not grow
// is cheaper to sync. Most pages are copied in the background, and the writer copies
// the pages that were committed meanwhile. If payloads were deleted, checkpointIfDue
// also empties the WAL, within eraseEvery. It returns the time until its next call.
func (q *Queue) checkpointIfDue(now time.Time) time.Duration {
	rest := q.backgroundCheckpoint.CompareAndSwap(checkpointEnded, noCheckpoint)
	if rest {
		q.files.CheckpointedInBackground()
	}
	if q.usable() != nil {
		return checkpointPause
	}
	w, s := &q.wal, &q.steps
	limit := q.walLimit()
	erase := q.freed && !now.Before(s.erase)
	if rest || erase || limit < walPages || !now.Before(w.looked) {
		w.looked = now.Add(lookPause)
		q.refreshWAL()
	}
	if q.backgroundCheckpoint.Load() == checkpointRunning {
		return checkpointPause
	}
	waiting := w.frames - w.copied
	due := waiting >= limit && (w.frames < w.tried || w.frames-w.tried >= limit || now.Sub(w.triedAt) >= checkpointPause)
	if due {
		w.tried, w.triedAt = w.frames, now
	}
	switch {
	case due && waiting >= walPages && (!rest || waiting >= walLong):
		q.checkpointInBackground()
		return checkpointPause
	case erase:
		s.erase = now.Add(truncatePause)
		if waiting < walLong {
			q.checkpoint("TRUNCATE")
		}
	case due, rest && waiting > 0 && waiting < walLong:
		q.checkpoint("PASSIVE")
	}
	if !q.freed {
		s.erase = now.Add(eraseEvery)
	}
	if q.files.Changed() {
		return lookPause
	}
	return min(checkpointPause, s.erase.Sub(now))
}

// walLimit returns how many uncopied pages the WAL may have, so that a checkpoint has
// room even if only the reserve is left.
func (q *Queue) walLimit() int64 {
	switch r := &q.room; {
	case r.short, r.released:
		return fewPages
	case r.reserve != nil:
		return min(walPages, max(fewPages, r.size/2/tables.PageSize))
	}
	return walPages
}

// checkpoint makes a checkpoint. While a reader uses an older snapshot, it copies only
// a part of the WAL.
func (q *Queue) checkpoint(mode string) {
	if q.usable() != nil {
		return
	}
	err := q.files.Check()
	if err == nil {
		err = q.checkWAL(true)
	}
	if err != nil {
		q.suspend(err)
		return
	}
	if err := q.roomToCheckpoint(); err != nil {
		q.Failed(err)
		return
	}
	q.files.Writing()
	busy := q.inspectWAL(mode)
	q.files.Checkpointed()
	if mode == "TRUNCATE" && !busy && q.wal.frames == 0 {
		q.freed = false
	}
}

// The states of a background checkpoint.
const (
	noCheckpoint int32 = iota
	checkpointRunning
	checkpointEnded
)

// checkpointInBackground makes a checkpoint on a connection of its own, during which
// commits continue. The writer then copies the remaining pages. If the WAL is damaged,
// the background checkpoint copies nothing, and the writer finds the damage.
func (q *Queue) checkpointInBackground() {
	if err := q.roomToCheckpoint(); err != nil {
		q.Failed(err)
		return
	}
	q.backgroundCheckpoint.Store(checkpointRunning)
	q.files.Writing()
	frames, copied := q.wal.frames, q.wal.copied
	q.work.Go(func() {
		if bad, err := wal.CheckSalts(q.path+disk.WAL, tables.PageSize, copied, frames, 1); err == nil && bad < 0 {
			err := q.checkpoints.With(q.ctx, func(c *tables.Conn) error {
				return c.Query(q.ctx, `PRAGMA wal_checkpoint(PASSIVE)`, func([]driver.Value) error { return nil })
			})
			q.repairIfDamaged(err)
		}
		q.backgroundCheckpoint.Store(checkpointEnded)
		q.writer.Wake()
	})
}

// refreshWAL reads the length of the WAL.
func (q *Queue) refreshWAL() {
	if q.files.Changed() {
		q.files.Inspected()
		q.inspectWAL("NOOP")
	}
}

// inspectWAL executes PRAGMA wal_checkpoint and reports whether a reader blocked it.
// Mode NOOP only reads the progress of the last checkpoint.
func (q *Queue) inspectWAL(mode string) (busy bool) {
	failed := int64(1)
	err := q.writing.Query(context.Background(), `PRAGMA wal_checkpoint(`+mode+`)`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		failed, q.wal.frames, q.wal.copied = s.Int(), s.Int(), s.Int()
		return nil
	})
	if err != nil {
		q.Failed(fmt.Errorf("copying the WAL to %s: %w", q.path, err))
	}
	return failed != 0
}

// walIntact reports whether the WAL is undamaged up to its newest commit. If it is
// not, walIntact suspends the queue, and the readable part of the WAL is used.
func (q *Queue) walIntact() bool {
	q.inspectWAL("NOOP")
	r, err := wal.Inspect(q.path + disk.WAL)
	if err != nil || int64(r.Frames) >= q.wal.frames {
		return true
	}
	q.suspend(fmt.Errorf("the file %s%s %w: %d of its %d pages can be read", q.path, disk.WAL, watch.ErrDamaged, r.Frames, q.wal.frames))
	return false
}
