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
	watchEvery  = time.Second           // the files are checked
	eraseEvery  = 3 * time.Second       // deleted payloads leave the WAL
	usedAtEvery = time.Hour             // the time is written if no other change is
	lockEvery   = 10 * time.Second      // the lock is acquired again if its file was removed
	vacuumEvery = time.Second           // free pages are counted
	vacuumPages = 512                   // maximum of one slice
	leastSlice  = 16                    // minimum of one slice
	vacuumTime  = 20 * time.Millisecond // maximum duration of one slice
	vacuumPause = 4                     // between two slices, as a multiple of the slice's duration
	enoughFree  = 1000                  // pages that always stay free
	repairPause = 10                    // before the next repair, as a multiple of the repair's duration
)

// housekeeping holds when each of the writer's other tasks is due.
type housekeeping struct {
	watch, lock, sweep, erase, usedAt, vacuum time.Time
	repair, reindexed, held                   time.Time
	vacuuming                                 bool  // until fewer pages are free
	slice                                     int64 // pages of the next slice
	free                                      int64 // free pages after the last slice, or when vacuuming was last postponed
	unlocked                                  bool  // a lost lock has been reported
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
	q.writeHeld(now)
	q.watchClock()
	if q.repairWanted.Load() && now.After(s.repair) {
		q.repairWanted.Store(false)
		if q.walIntact() {
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
	if q.usable() == nil && q.heads.waits(queue.AuditDelay) {
		q.step(func(t *tx) (bool, error) {
			t.auditHeads = true
			return false, nil
		})
	}
	if q.usable() != nil { // a step has found that the file was replaced
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

// renewLock acquires the lock again if its file was removed, and reports if another
// process has acquired it meanwhile.
func (q *Queue) renewLock() {
	err := q.lock.Renew()
	if err != nil && !q.steps.unlocked {
		q.damaged(fmt.Errorf("%w: both deliver the same events", err))
	}
	q.steps.unlocked = err != nil
}

// due reports whether the time has come, and sets the next time.
func due(now time.Time, at *time.Time, every time.Duration) bool {
	if now.Before(*at) {
		return false
	}
	*at = now.Add(every)
	return true
}

// step does one step of a task in a transaction, and reports whether there is more to
// do. A failed step is retried when the task is due again.
func (q *Queue) step(work func(t *tx) (more bool, err error)) (more bool) {
	more, err := q.transact(work)
	if err != nil {
		q.Failed(err)
	}
	return more
}

// transact files all events and does work in the same transaction.
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

// sweepEvery returns how often to look for events whose retention has ended.
func sweepEvery(s queue.Settings) time.Duration {
	shortest := min(s.DedupeWindow, s.DeadRetention, max(s.HistoryRetention, s.KeepDelivered))
	if s.KeepDelivered > 0 {
		shortest = min(shortest, s.KeepDelivered)
	}
	return min(max(shortest/10, time.Second), time.Minute)
}

// sweep deletes up to step events and payloads whose retention has ended, and reports
// whether there may be more.
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

// stateNames maps the code of an event to the state that determines its retention.
var stateNames = map[int64]queue.State{
	tables.EventDelivered: queue.Delivered, tables.EventDead: queue.Dead, tables.EventQuarantined: queue.Quarantined, tables.EventUnrouted: queue.Unrouted,
	tables.EventUnconfirmed: queue.Unconfirmed, tables.EventForNoUpstream: queue.Delivered, tables.EventTombstone: policy.Tombstone,
}

// endedBefore returns up to limit seqs of readable events.
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

// expire deletes an event, or turns it into a tombstone.
func (t *tx) expire(seq int64) error {
	return t.changeReadable(seq, func(r *tables.Record) bool {
		return r.Expire(t.age, t.settings)
	})
}

// changeReadable changes an event, and leaves an unreadable event unchanged.
func (t *tx) changeReadable(seq int64, change func(*tables.Record) bool) error {
	err := t.change(seq, change)
	if errors.Is(err, policy.ErrDamaged) {
		t.q.foundUnreadable(seq, fmt.Errorf("looking for events whose retention has ended: %w", err))
		return nil
	}
	return err
}
