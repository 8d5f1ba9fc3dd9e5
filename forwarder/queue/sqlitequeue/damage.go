package sqlitequeue

import (
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/salvage"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/wal"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// foundUnreadable counts an unreadable event, and reports it once. If more than rows is
// damaged, the event may become readable by a repair of the store, and is not reported
// yet.
func (q *Queue) foundUnreadable(seq int64, err error) {
	_, known := q.unreadable.LoadOrStore(seq, true) // first, or a repair that runs meanwhile would not clear it
	switch {
	case known || q.survey() != nil:
	case errors.Is(err, tables.ErrEventRow):
		q.damagedRows.Store(seq, err)
		q.writer.Wake()
	default:
		q.reportUnreadable(err)
	}
}

func (q *Queue) reportUnreadable(err error) {
	q.damaged(fmt.Errorf("%w; the event is kept but not delivered: stop the server and run `caddy scribegate export --path %s` to see what can be read of it, and restore a backup if there is one", err, q.path))
}

// restoreRows restores the damaged rows of events from the rows of their payloads and
// deliveries, as far as possible.
func (q *Queue) restoreRows() {
	q.damagedRows.Range(func(key, value any) bool {
		seq, found := key.(int64), value.(error)
		var r *tables.Record
		_, err := q.transact(func(t *tx) (more bool, err error) {
			if r, err = tables.Restore(q.ctx, t.c, q.upstreams, seq, t.now); err == nil {
				err = t.exec(tables.RestoreEvent, tables.RestoreRow(r)...)
			}
			if err == nil {
				t.addNames(r) // names in memory are read from the rows of events
			}
			return false, err
		})
		switch {
		case err == nil:
			q.damaged(fmt.Errorf("%w; the row of event %s has been restored from the row of its payload, and nothing is lost", found, r.ID))
			q.unreadable.Delete(seq)
			for _, l := range q.leases.all() {
				l.settled(seq)
				l.reread()
				q.wakeUp(l.upstream)
			}
		case errors.Is(err, tables.ErrStructure):
			q.repairSoon(err) // the repair finds it again
		case !errors.Is(err, policy.ErrDamaged):
			return false // the disk fails, or is full: the next housekeeping tries again
		default:
			q.reportUnreadable(found)
		}
		q.damagedRows.Delete(seq)
		return true
	})
}

// forgetUnreadable makes the queue try unreadable events again.
func (q *Queue) forgetUnreadable() {
	q.unreadable.Range(func(seq, _ any) bool {
		q.unreadable.Delete(seq)
		for _, l := range q.leases.all() {
			l.settled(seq.(int64))
		}
		return true
	})
}

// countUnreadable returns how many unreadable events were found since the store was
// opened.
func (q *Queue) countUnreadable() (n int64) {
	q.unreadable.Range(func(any, any) bool { n++; return true })
	return n
}

// damaged reports damage.
func (q *Queue) damaged(err error) {
	if q.options.OnDamage != nil {
		q.options.OnDamage(err)
	}
}

// repairIfDamaged requests a repair of the store if the error is damage outside of
// rows.
func (q *Queue) repairIfDamaged(err error) {
	if errors.Is(err, tables.ErrStructure) {
		q.repairSoon(err)
	}
}

// surveyAgain is how long the result of an error-free survey is valid.
const surveyAgain = 10 * time.Minute

// survey checks the tables, and returns an error if more than rows is damaged. In that
// case an event that is missing or unreadable may be found after the repair.
func (q *Queue) survey() error {
	q.surveying.Lock()
	defer q.surveying.Unlock()
	if !q.surveyed.IsZero() && time.Since(q.surveyed) < surveyAgain {
		return nil
	}
	err := q.surveyor.With(q.ctx, func(c *tables.Conn) error { return tables.CheckTables(q.ctx, c) })
	if errors.Is(err, tables.ErrStructure) {
		q.repairSoon(err)
		err = unavailable{fmt.Errorf("%s is damaged and will be repaired (%v)", q.path, err)} //nolint:errorlint // waiting changes are not damaged
	}
	if err == nil {
		q.surveyed = time.Now()
	}
	return err
}

// repairSoon makes the writer repair the store.
func (q *Queue) repairSoon(reason error) {
	q.repairReason.Store(&reason)
	q.repairWanted.Store(true)
	q.writer.Wake()
}

// indexesSuffice is the minimum time between two rebuilds of the indexes. If damage is
// found earlier, rebuilding the indexes did not help.
const indexesSuffice = time.Hour

// repair rebuilds the indexes or, if that does not help, the whole file.
func (q *Queue) repair() {
	reason := *q.repairReason.Load()
	began := time.Now()
	if began.Sub(q.steps.reindexed) < indexesSuffice || q.reindex() != nil {
		q.rebuildNow(reason)
		return
	}
	q.steps.reindexed = began
	q.damaged(fmt.Errorf("%w; the indexes of %s were rebuilt from its tables, and nothing is lost", reason, q.path))
	q.forgetUnreadable()
	q.rereadAll()
	q.work.Go(q.check)
}

// reindex rebuilds the indexes if the tables are undamaged.
func (q *Queue) reindex() error {
	if err := q.writing.Run(`PRAGMA shrink_memory`); err != nil { // so that the check reads from the disk
		return err
	}
	if err := tables.CheckTables(q.ctx, q.writing); err != nil {
		return err
	}
	lost, err := q.writing.Number(`
		SELECT EXISTS (
			SELECT 1 FROM delivery i INDEXED BY delivery_state
			WHERE EXISTS (SELECT 1 FROM event WHERE seq = i.seq)
			AND NOT EXISTS (SELECT 1 FROM delivery d NOT INDEXED WHERE d.seq = i.seq AND d.upstream = i.upstream))`)
	if err != nil {
		return err
	}
	if lost > 0 {
		return fmt.Errorf("%w: an index contains a delivery whose row is missing", tables.ErrStructure)
	}
	q.files.Committed()
	return q.writing.Run(`REINDEX`)
}

// rebuildNow rebuilds the file while the queue is open. Nothing can be read or written
// meanwhile.
func (q *Queue) rebuildNow(reason error) {
	busy := fmt.Errorf("%s is damaged and is being rebuilt (%v)", q.path, reason) //nolint:errorlint // waiting changes are not damaged
	q.suspended.Store(&busy)
	q.Failed(busy)
	err := q.detach()
	if rebuilt := q.rebuild(reason); rebuilt != nil {
		q.damaged(errors.Join(rebuilt, err))
	}
	restored, err := q.reopen()
	if err != nil {
		broken := fmt.Errorf("%s cannot be opened after a repair: %v", q.path, err) //nolint:errorlint // waiting changes are not damaged
		q.suspended.Store(&broken)
		q.Failed(broken)
		return
	}
	if restored > 0 {
		q.damaged(fmt.Errorf("%s has been rebuilt: %d events that were missing in it have been stored again from memory", q.path, restored))
	}
	q.work.Go(q.check)
}

// repairWAL inspects a WAL that was left behind. It moves a WAL away that belongs to
// another store or to another state of this store, and repairs a damaged WAL.
func (q *Queue) repairWAL() error {
	if info, err := os.Stat(q.path + disk.WAL); err != nil || info.Size() == 0 {
		return nil //nolint:nilerr // there is no WAL
	}
	if used, err := disk.InUse(q.path); used || err != nil {
		return err // not ours to repair while another program uses it
	}
	state, reason, err := salvage.InspectWAL(q.path)
	if err != nil {
		return err
	}
	switch state {
	case salvage.Unreadable:
		return q.rejectWAL(".damaged-", reason)
	case salvage.Foreign:
		return q.rejectWAL(".foreign-", reason)
	case salvage.Incomplete:
		return q.rebuild(reason)
	case salvage.Repairable:
		kept := disk.UnusedName(q.path + disk.WAL + ".damaged-")
		if err := os.Link(q.path+disk.WAL, kept); err != nil {
			return err
		}
		if _, err := wal.Repair(q.path+disk.WAL, q.path+disk.WAL); err != nil {
			return err
		}
		q.damaged(fmt.Errorf("%s%s: %w; it has been repaired, and the damaged WAL is kept as %s", q.path, disk.WAL, reason, kept))
	case salvage.Usable:
	}
	return nil
}

// rejectWAL moves an unusable WAL away and reports it.
func (q *Queue) rejectWAL(suffix string, reason error) error {
	kept := disk.UnusedName(q.path + disk.WAL + suffix)
	if err := os.Rename(q.path+disk.WAL, kept); err != nil {
		return err
	}
	q.damaged(fmt.Errorf("%s%s is not used: %w; events that were stored last may be missing; it is kept as %s", q.path, disk.WAL, reason, kept))
	return nil
}

// rebuildAtStart rebuilds a store that cannot be opened. It returns refusal if nothing
// of the store can be read.
func (q *Queue) rebuildAtStart(reason, refusal error) error {
	err := q.rebuild(reason)
	if errors.Is(err, salvage.ErrNothing) || errors.Is(err, tables.ErrOtherProgram) {
		return refusal
	}
	if err != nil {
		return fmt.Errorf("%w; it could not be rebuilt: %w", refusal, err)
	}
	return nil
}

// rebuild replaces a damaged file by a new one with all readable content, and reports
// what was lost. No connection is open, and the store is locked.
func (q *Queue) rebuild(reason error) error {
	err := q.notShared()
	var r *salvage.Rebuilt
	if err == nil {
		r, err = salvage.Rebuild(q.ctx, q.path, q.keys, q.now(), func(sealed map[seal.Fingerprint]int64) error {
			_, err := resolveKeys(q.path, q.keys, sealed, false)
			return err
		})
	}
	if err != nil {
		return fmt.Errorf("rebuilding %s: %w", q.path, err)
	}
	q.damaged(fmt.Errorf("%w; %s has been rebuilt: %s; the damaged file is kept as %s: delete it when you no longer need it", reason, q.path, r, r.Kept))
	return nil
}

// rereadAll makes the leases read the due deliveries from the file again.
func (q *Queue) rereadAll() {
	for _, l := range q.leases.all() {
		l.reread()
		q.wakeUp(l.upstream)
	}
}
