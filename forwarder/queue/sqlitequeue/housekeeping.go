package sqlitequeue

import (
	"fmt"
	"time"
)

const (
	watchEvery  = time.Second           // the file is looked at
	forgetEvery = 3 * time.Second       // deleted payloads leave the WAL
	noteEvery   = time.Hour             // the time is written, where nothing else is
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
	watch, lock, sweep, forget, note, vacuum time.Time
	repair, reindexed                        time.Time
	vacuuming                                bool  // until fewer pages are free
	slice                                    int64 // pages that are given back at once
	unlocked                                 bool  // it has been reported
}

// Housekeep implements policy.Commits.
func (q *Queue) Housekeep() time.Duration {
	now := time.Now()
	s := &q.steps
	if due(now, &s.watch, watchEvery) {
		q.watchFile()
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
	if due(now, &s.sweep, sweepEvery(*q.settings.Load())) {
		if more := q.step((*tx).sweep); more {
			s.sweep = now.Add(time.Millisecond)
		}
	}
	if q.unfiled.until() == 0 || due(now, &s.note, noteEvery) {
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
	wait := min(q.checkpointIfDue(now), s.watch.Sub(now), s.sweep.Sub(now), s.vacuum.Sub(now), q.unfiled.until())
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

// due reports whether something is due, and notes when it is again.
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
		q.rollback(t)
		return false, q.makeRoom(err)
	}
	return more, q.commit(t)
}

// watchClock reports a clock that has jumped ahead.
func (q *Queue) watchClock() {
	q.age.Now(q.now(), q.elapsed())
	ahead := q.age.Ahead()
	if ahead > 0 && !q.doubted && q.options.OnClock != nil {
		q.options.OnClock(ahead)
	}
	q.doubted = ahead > 0
}

// vacuumSlice gives a slice of the free pages back to the file system where many are
// free, or the disk is full, and reports whether more are.
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
	return more
}

// vacuum gives a slice of free pages back.
func (t *tx) vacuum(pages int64) error {
	t.written = true
	return t.c.Run(fmt.Sprintf(`PRAGMA incremental_vacuum(%d)`, pages))
}
