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
	// walPages is how many pages of the WAL are not in the main file yet when a
	// checkpoint is due: it takes 6 to 8 ms.
	walPages = 500
	fewPages = 25 // on a full disk

	// walLong is how many are too many for the writer: it would take about 40 ms.
	walLong = 2500

	lookPause       = 10 * time.Millisecond  // between two looks how long the WAL is
	checkpointPause = time.Second            // between two checkpoints that a reader holds up
	truncatePause   = 250 * time.Millisecond // between two attempts to empty the WAL
)

// The WAL's size is known exactly, since nothing else makes checkpoints: SQLite's own
// are off, so that each change of the main file that is not announced to the watch is
// another process's.
type walState struct {
	frames  int64 // of its current generation
	copied  int64 // of them, those in the main file
	tried   int64 // frames at the last checkpoint
	triedAt time.Time
	looked  time.Time // when it is looked at again
}

// checkpointIfDue copies the WAL to the main file where it has grown, without shortening
// it: SQLite overwrites it from its beginning then, and a file that does not grow is
// cheaper to sync. Most of it is copied in the background, and the writer copies what was
// committed meanwhile. Where payloads were deleted it empties the WAL, too, within eraseEvery. It
// returns when it wants to be called again.
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

// walLimit returns how many pages may be in the WAL and not in the main file: so few that
// a checkpoint has room where the reserve is all that is left.
func (q *Queue) walLimit() int64 {
	switch r := &q.room; {
	case r.short, r.released:
		return fewPages
	case r.reserve != nil:
		return min(walPages, max(fewPages, r.size/2/tables.PageSize))
	}
	return walPages
}

// checkpoint makes a checkpoint. While a reader holds on to an older state it does what
// it can.
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

// The states of a checkpoint in the background.
const (
	noCheckpoint int32 = iota
	checkpointRunning
	checkpointEnded
)

// checkpointInBackground makes a checkpoint on a connection of its own while commits go on.
// The writer makes the next one, of what is left. Where the WAL is damaged that is all
// of it, and the writer finds the damage.
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

// refreshWAL reads how long the WAL is.
func (q *Queue) refreshWAL() {
	if q.files.Changed() {
		q.files.Inspected()
		q.inspectWAL("NOOP")
	}
}

// inspectWAL executes PRAGMA wal_checkpoint, of which NOOP only returns how far the
// last one came, and reports whether a reader was in its way.
func (q *Queue) inspectWAL(mode string) (busy bool) {
	failed := int64(1)
	err := q.writing.Query(context.Background(), `PRAGMA wal_checkpoint(`+mode+`)`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		failed, q.wal.frames, q.wal.copied = s.Int(), s.Int(), s.Int()
		return nil
	})
	if err != nil {
		q.Failed(fmt.Errorf("taking the WAL to %s: %w", q.path, err))
	}
	return failed != 0
}

// walInOrder reports whether the WAL is as it was written, up to its newest commit. Where
// it is not, what can be read of it is.
func (q *Queue) walInOrder() bool {
	q.inspectWAL("NOOP")
	r, err := wal.Inspect(q.path + disk.WAL)
	if err != nil || int64(r.Frames) >= q.wal.frames {
		return true
	}
	q.suspend(fmt.Errorf("the file %s%s %w: %d of its %d pages can be read", q.path, disk.WAL, watch.ErrDamaged, r.Frames, q.wal.frames))
	return false
}
