package sqlitequeue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	checkStep  = 20              // events that one step checks, in about a millisecond
	checkPause = 10              // the sleep after a step, as a multiple of the step's duration
	checkAfter = 2 * time.Second // after the start, which is busy enough
)

// check checks all events in the background, to find damage before an event is due.
func (q *Queue) check() {
	select {
	case <-q.ctx.Done():
		return
	case <-time.After(checkAfter):
	}
	for last := int64(0); ; {
		began := time.Now()
		next, unnamed, err := q.checkSome(last)
		if err == nil && last == 0 {
			err = q.readers.Snapshot(q.ctx, func(c *tables.Conn) error { return tables.CheckUpstreams(q.ctx, c) })
		}
		if err == nil && len(unnamed) > 0 {
			err = q.addMissingNames(unnamed)
		}
		pause := checkPause * time.Since(began)
		switch {
		case errors.Is(err, policy.ErrDamaged):
			q.repairSoon(err) // the check starts again after the repair
			return
		case err != nil:
			pause = watchEvery
		case next == 0:
			return
		default:
			last = next
		}
		select {
		case <-q.ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

// checkSome checks the next events after seq last. It returns the last of them, or 0 if
// there are none, and the names that are missing in table name.
func (q *Queue) checkSome(last int64) (next int64, unnamed []tables.Name, err error) {
	err = q.readers.Snapshot(q.ctx, func(c *tables.Conn) error {
		seqs, err := c.Numbers(q.ctx, `SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT ?`, last, int64(checkStep))
		if err != nil || len(seqs) == 0 {
			return err
		}
		next = seqs[len(seqs)-1]
		deliveries, whole := int64(0), true
		for _, seq := range seqs {
			r, missing, err := q.checkEvent(c, seq)
			if err != nil {
				return err
			}
			if r == nil {
				whole = false
				continue
			}
			unnamed, deliveries = append(unnamed, missing...), deliveries+int64(len(r.Deliveries))
		}
		if !whole {
			return nil
		}
		return tables.CheckDeliveries(c, q.upstreams, last, next, deliveries)
	})
	return next, unnamed, err
}

// checkEvent checks that an event and its deliveries are unchanged, that its payload
// exists, and that the indexes find it. It returns nil if the event is unreadable.
func (q *Queue) checkEvent(c *tables.Conn, seq int64) (r *tables.Record, unnamed []tables.Name, err error) {
	r, err = tables.Load(q.ctx, c, q.upstreams, seq)
	if err == nil && r == nil {
		err = fmt.Errorf("%w: an event is not found by its seq", tables.ErrStructure)
	}
	if err == nil && r.Size > 0 {
		var there int64
		if there, err = c.Number(`SELECT 1 FROM payload WHERE seq = ?`, seq); err == nil && there == 0 {
			err = fmt.Errorf("%w: the payload of event %s is missing", policy.ErrDamaged, r.ID)
		}
	}
	if errors.Is(err, policy.ErrDamaged) && !errors.Is(err, tables.ErrStructure) {
		if r != nil { // the payload is missing
			if err := q.survey(); err != nil {
				return nil, nil, err
			}
		}
		q.foundUnreadable(seq, fmt.Errorf("checking the store: %w", err))
		return nil, nil, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if err := tables.CheckIndexes(c, r, q.upstreams); err != nil {
		return nil, nil, err
	}
	for _, n := range tables.NamesOf(r) {
		seqs, err := q.named(q.ctx, c, n.Hash)
		if err != nil {
			return nil, nil, err
		}
		if !slices.Contains(seqs, seq) {
			unnamed = append(unnamed, n)
		}
	}
	return r, unnamed, nil
}

// addMissingNames inserts names that were lost from table name. A superfluous name does
// no harm.
func (q *Queue) addMissingNames(missing []tables.Name) error {
	return q.do(context.Background(), func(t *tx) error {
		return t.insert(`INSERT OR IGNORE`+tables.IntoName, rowsOf(missing)...)
	})
}
