package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	watchEvery  = time.Second           // the file is looked at
	eraseEvery  = 3 * time.Second       // deleted payloads leave the WAL
	usedAtEvery = time.Hour             // the time is written, where nothing else is
	lockEvery   = 10 * time.Second      // the lock is acquired again where its file was removed
	vacuumEvery = time.Second           // free pages are counted
	vacuumPages = 512                   // of one slice, at most
	leastSlice  = 16                    // at least
	vacuumTime  = 20 * time.Millisecond // that a slice may take
	vacuumPause = 4                     // times as long as a slice has taken, between two
	enoughFree  = 1000                  // pages that are kept free in any case
	repairPause = 10                    // times as long as a repair took, before the next
)

// housekeeping is when each of the writer's other duties is due.
type housekeeping struct {
	watch, lock, sweep, erase, usedAt, vacuum time.Time
	repair, reindexed                         time.Time
	vacuuming                                 bool  // until fewer pages are free
	slice                                     int64 // pages that are given back at once
	free                                      int64 // pages that were free after the last slice, or when it was put off
	unlocked                                  bool  // it has been reported
}

// Housekeep implements policy.Commits.
func (q *Queue) Housekeep() time.Duration {
	now := time.Now()
	s := &q.steps
	if due(now, &s.watch, watchEvery) {
		q.checkStore()
	}
	if q.usable() != nil {
		return max(time.Millisecond, s.watch.Sub(now))
	}
	if due(now, &s.lock, lockEvery) {
		q.renewLock()
	}
	q.ensureReserve(now)
	q.watchClock()
	if q.repairWanted.Load() && now.After(s.repair) {
		q.repairWanted.Store(false)
		if q.walInOrder() {
			q.repair()
		}
		s.repair = time.Now().Add(repairPause * time.Since(now))
		if q.usable() != nil {
			return watchEvery
		}
	}
	if q.restoreRows(); q.usable() != nil {
		return watchEvery
	}
	if due(now, &s.sweep, sweepEvery(*q.settings.Load())) {
		if more := q.step((*tx).sweep); more {
			s.sweep = now.Add(time.Millisecond)
		}
	}
	if q.unfiled.Until() == 0 || due(now, &s.usedAt, usedAtEvery) {
		q.step(func(*tx) (bool, error) { return false, nil })
	}
	if q.usable() != nil { // a step has found that the file is another
		return watchEvery
	}
	if due(now, &s.vacuum, vacuumEvery) {
		if more := q.vacuumSlice(); more {
			s.vacuum = time.Now().Add(vacuumPause * time.Since(now))
		}
	}
	if q.usable() != nil {
		return watchEvery
	}
	wait := min(q.checkpointIfDue(now), s.watch.Sub(now), s.sweep.Sub(now), s.vacuum.Sub(now), q.unfiled.Until())
	return max(time.Millisecond, wait)
}

// renewLock acquires the lock again where its file was removed, and reports when another
// process was faster.
func (q *Queue) renewLock() {
	err := q.lock.Renew()
	if err != nil && !q.steps.unlocked {
		q.damaged(fmt.Errorf("%w: both deliver the same events", err))
	}
	q.steps.unlocked = err != nil
}

// due reports whether something is due, and sets when it is again.
func due(now time.Time, at *time.Time, every time.Duration) bool {
	if now.Before(*at) {
		return false
	}
	*at = now.Add(every)
	return true
}

// step makes one step of a work in a transaction, and reports whether there is more to
// do. What fails is tried again when the work is due the next time.
func (q *Queue) step(work func(t *tx) (more bool, err error)) (more bool) {
	more, err := q.transact(work)
	if err != nil {
		q.Failed(err)
	}
	return more
}

// transact does work in a transaction, when everything is filed.
func (q *Queue) transact(work func(t *tx) (more bool, err error)) (more bool, err error) {
	t, err := q.begin()
	if err != nil {
		return false, err
	}
	if err = t.fileAll(); err == nil {
		more, err = work(t)
	}
	if err != nil {
		q.rollback()
		return false, q.makeRoom(err)
	}
	return more, q.commit(t)
}

// watchClock reports a clock that has jumped ahead.
func (q *Queue) watchClock() {
	q.age.Now(q.now(), q.elapsed())
	ahead := q.age.Ahead()
	if ahead > 0 && !q.clockReported && q.options.OnClock != nil {
		q.options.OnClock(ahead)
	}
	q.clockReported = ahead > 0
}

// sweepEvery returns how often events whose retention has ended are looked for.
func sweepEvery(s queue.Settings) time.Duration {
	shortest := min(s.DedupeWindow, s.DeadRetention, max(s.HistoryRetention, s.KeepDelivered))
	if s.KeepDelivered > 0 {
		shortest = min(shortest, s.KeepDelivered)
	}
	return min(max(shortest/10, time.Second), time.Minute)
}

// sweep deletes what is over, for up to step events, and reports whether there may be
// more.
func (t *tx) sweep() (more bool, err error) {
	budget := step
	for code := tables.EventDelivered; code <= tables.EventTombstone; code++ {
		seqs, err := t.endedBefore(`SELECT seq FROM event WHERE state = ? AND ended_at > 0 AND ended_at <= ? ORDER BY ended_at`, budget,
			code, t.age-int64(policy.Retention(stateNames[code], t.settings)))
		if err != nil {
			return false, err
		}
		for _, seq := range seqs {
			if err := t.expire(seq); err != nil {
				return false, err
			}
		}
		budget -= len(seqs)
	}
	seqs, err := t.endedBefore(`SELECT seq FROM event WHERE state = 1 AND size > 0 AND ended_at <= ? ORDER BY ended_at`, budget,
		t.age-int64(t.settings.KeepDelivered))
	if err != nil {
		return false, err
	}
	for _, seq := range seqs {
		err := t.changeReadable(seq, func(r *tables.Record) bool {
			r.DropPayload()
			return true
		})
		if err != nil {
			return false, err
		}
	}
	return budget == len(seqs), nil
}

// stateNames are the states whose retention events of the codes have.
var stateNames = map[int64]queue.State{
	tables.EventDelivered: queue.Delivered, tables.EventDead: queue.Dead, tables.EventQuarantined: queue.Quarantined, tables.EventUnrouted: queue.Unrouted,
	tables.EventUnconfirmed: queue.Unconfirmed, tables.EventForNoUpstream: queue.Delivered, tables.EventTombstone: policy.Tombstone,
}

// endedBefore returns up to limit seqs, without those that cannot be read.
func (t *tx) endedBefore(text string, limit int, args ...driver.Value) (seqs []int64, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = t.c.Query(context.Background(), text, func(row []driver.Value) error {
		seq, _ := row[0].(int64)
		if _, known := t.q.unreadable.Load(seq); !known {
			seqs = append(seqs, seq)
		}
		if len(seqs) == limit {
			return tables.ErrStop
		}
		return nil
	}, args...)
	return seqs, err
}

// expire deletes an event, or leaves a tombstone.
func (t *tx) expire(seq int64) error {
	return t.changeReadable(seq, func(r *tables.Record) bool {
		return r.Expire(t.age, t.settings)
	})
}

// changeReadable changes an event, and leaves one that cannot be read as it is.
func (t *tx) changeReadable(seq int64, change func(*tables.Record) bool) error {
	err := t.change(seq, change)
	if errors.Is(err, policy.ErrDamaged) {
		t.q.foundUnreadable(seq, fmt.Errorf("looking for events whose retention has ended: %w", err))
		return nil
	}
	return err
}
