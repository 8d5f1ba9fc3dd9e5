package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

const (
	checkStep  = 20 // events that are checked at once, which takes about a millisecond
	checkPause = 5  // times as long as a step took is slept behind it
)

// check looks through all events in the background, so that damage is known before an
// event is due.
func (q *Queue) check() {
	for last := int64(0); ; {
		began := time.Now()
		next, unnamed, err := q.checkSome(last)
		if err == nil && last == 0 {
			err = q.checkUpstreams()
		}
		if err == nil && len(unnamed) > 0 {
			err = q.addMissingNames(unnamed)
		}
		pause := checkPause * time.Since(began)
		switch {
		case errors.Is(err, policy.ErrDamaged):
			q.repairSoon(err) // which looks at everything
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

// checkSome checks the events behind a seq, and returns the last, or 0 where there are
// none, and the names that are missing in table name.
func (q *Queue) checkSome(last int64) (next int64, unnamed []name, err error) {
	err = q.readers.snapshot(q.ctx, func(c *conn) error {
		var seqs []int64
		err := c.query(q.ctx, `SELECT seq FROM event WHERE seq > ? ORDER BY seq LIMIT ?`, func(row []driver.Value) error {
			s := scanner{row: row}
			seqs = append(seqs, s.int())
			return nil
		}, last, int64(checkStep))
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
		return q.checkDeliveries(c, last, next, deliveries)
	})
	return next, unnamed, err
}

// checkUpstreams checks that the upstreams are found by their names.
func (q *Queue) checkUpstreams() error {
	return q.readers.snapshot(q.ctx, func(c *conn) error {
		names := make(map[int64]string)
		err := c.query(q.ctx, `SELECT id, name FROM upstream NOT INDEXED`, func(row []driver.Value) error {
			s := scanner{row: row}
			id, name := s.int(), s.text()
			names[id] = name
			return nil
		})
		if err != nil {
			return err
		}
		for id, name := range names {
			found, err := c.number(`SELECT id FROM upstream INDEXED BY sqlite_autoindex_upstream_1 WHERE name = ?`, name)
			if err == nil && found != id {
				err = fmt.Errorf("%w: upstream %q is not in its index", errStructure, name)
			}
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// checkIndexes checks that an event is in the indexes of its table.
func checkIndexes(c *conn, r *record) error {
	state := stateOf(&r.Event)
	probe := func(index, where string, args ...driver.Value) error {
		found, err := c.number(`SELECT 1 FROM event INDEXED BY `+index+` WHERE `+where+` AND seq = ?`, append(args, r.seq)...)
		if err == nil && found == 0 {
			err = fmt.Errorf("%w: event %s is not in index %s", errStructure, r.ID, index)
		}
		return err
	}
	var errs []error
	if r.EndedAt > 0 {
		errs = append(errs, probe(`event_ended`, `state = ? AND ended_at = ? AND ended_at > 0`, state, r.EndedAt))
	}
	if state >= codeQuarantined && state <= codeForNoUpstream {
		errs = append(errs, probe(`event_set_aside`, `state = ? AND state BETWEEN 3 AND 6`, state))
	}
	if state == codeDelivered && r.Size > 0 {
		errs = append(errs, probe(`event_kept`, `state = 1 AND size > 0 AND ended_at = ?`, r.EndedAt))
	}
	if r.Type != "note.generated" && r.Type != "transcription.completed" {
		errs = append(errs, probe(`event_type`, `type = ? AND type NOT IN ('note.generated', 'transcription.completed')`, r.Type))
	}
	return errors.Join(errs...)
}

// checkDeliveries checks that the table of deliveries, and the index of their states, have
// as many rows in a range of seqs as the events in it have deliveries.
func (q *Queue) checkDeliveries(c *conn, after, through, want int64) error {
	rows, err := c.number(`SELECT count(*) FROM delivery NOT INDEXED WHERE seq > ? AND seq <= ?`, after, through)
	if err != nil {
		return err
	}
	indexed := int64(0)
	for _, id := range q.upstreams.ids() {
		for code := codeFirst; code <= codeFailed; code++ {
			n, err := c.number(`SELECT count(*) FROM delivery INDEXED BY delivery_state WHERE upstream = ? AND state = ? AND seq > ? AND seq <= ?`, id, code, after, through)
			if err != nil {
				return err
			}
			indexed += n
		}
	}
	if rows != want || indexed != want {
		return fmt.Errorf("%w: of %d deliveries of some events %d are in the table and %d in its index", errStructure, want, rows, indexed)
	}
	return nil
}

// checkEvent checks that an event and its deliveries are as they were written, that its
// payload is there, and that it is found. It returns nil for one that is unreadable.
func (q *Queue) checkEvent(c *conn, seq int64) (r *record, unnamed []name, err error) {
	r, err = load(q.ctx, c, q.upstreams, seq)
	if err == nil && r == nil {
		err = fmt.Errorf("%w: an event is not found at its place", errStructure)
	}
	if err == nil && r.Size > 0 {
		var there int64
		if there, err = c.number(`SELECT 1 FROM payload WHERE seq = ?`, seq); err == nil && there == 0 {
			err = fmt.Errorf("%w: the payload of event %s is missing", policy.ErrDamaged, r.ID)
		}
	}
	if errors.Is(err, policy.ErrDamaged) && !errors.Is(err, errStructure) {
		if r != nil { // its payload is missing
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
	if err := checkIndexes(c, r); err != nil {
		return nil, nil, err
	}
	for i := range r.Deliveries {
		d := &r.Deliveries[i]
		if d.State != queue.Pending {
			continue
		}
		id, _ := q.upstreams.id(d.Upstream)
		found, err := c.number(`SELECT 1 FROM delivery INDEXED BY delivery_state WHERE upstream = ? AND state = ? AND seq = ?`, id, deliveryState(d), seq)
		if err == nil && found == 1 && d.Due > 0 {
			found, err = c.number(`SELECT 1 FROM delivery INDEXED BY delivery_due WHERE upstream = ? AND state = 1 AND due = ? AND seq = ?`, id, d.Due, seq)
		}
		if err == nil && found == 0 {
			err = fmt.Errorf("%w: a delivery of event %s is not in its index", errStructure, r.ID)
		}
		if err != nil {
			return nil, nil, err
		}
	}
	for _, h := range hashes(&r.Event) {
		seqs, err := q.named(q.ctx, c, h)
		if err != nil {
			return nil, nil, err
		}
		if !slices.Contains(seqs, seq) {
			unnamed = append(unnamed, name{h, seq})
		}
	}
	return r, unnamed, nil
}

// addMissingNames writes names that damage has taken from table name. One that is
// superfluous does no harm.
func (q *Queue) addMissingNames(missing []name) error {
	return q.do(context.Background(), func(t *tx) error {
		for _, n := range missing {
			if err := t.exec(`INSERT OR IGNORE INTO name (hash, seq) VALUES (?, ?)`, n.hash, n.seq); err != nil {
				return err
			}
		}
		return nil
	})
}
