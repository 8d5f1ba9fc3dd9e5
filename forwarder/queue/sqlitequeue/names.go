package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/verifier/event"
)

func (t *tx) addNames(r *tables.Record) {
	names := tables.NamesOf(r)
	t.publish(func() { t.q.names.Add(names...) })
}

// deleteNames deletes the names that an event no longer has after a change. after is
// nil if the event is deleted.
func (t *tx) deleteNames(before, after *tables.Record) error {
	names := tables.NamesOf(before)
	if after != nil {
		has := tables.NamesOf(after)
		names = slices.DeleteFunc(names, func(n tables.Name) bool { return slices.Contains(has, n) })
	}
	for _, n := range names {
		if err := t.exec(`DELETE FROM name WHERE hash = ? AND seq = ?`, n.Row()...); err != nil {
			return err
		}
	}
	t.publish(func() { t.q.names.Drop(names...) })
	return nil
}

func rowsOf(names []tables.Name) (rows [][]driver.Value) {
	for _, n := range names {
		rows = append(rows, n.Row())
	}
	return rows
}

// writeNames writes the names that are due in a transaction that stores so many events.
func (t *tx) writeNames(stored int) error {
	due := t.q.names.Due(stored, t.q.lastSeq)
	if due == nil {
		return nil
	}
	if err := t.insert(`INSERT OR IGNORE`+tables.IntoName, rowsOf(due.Names)...); err != nil {
		return err
	}
	t.publish(func() { t.q.names.Written(due) })
	if due.Through == 0 {
		return nil
	}
	return t.exec(`UPDATE meta SET named = ?`, due.Through)
}

// named returns the seqs of the events that may have the name, newest first.
func (q *Queue) named(ctx context.Context, c *tables.Conn, hash int64) ([]int64, error) {
	seqs := q.names.Find(hash) // before the table, since names may move there meanwhile
	named, err := c.Numbers(ctx, `SELECT seq FROM name WHERE hash = ?`, hash)
	seqs = append(seqs, named...)
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	slices.Reverse(seqs)
	return seqs, err
}

// findID returns the event with the id, or nil.
func (q *Queue) findID(ctx context.Context, c *tables.Conn, id string) (*tables.Record, error) {
	seqs, err := q.named(ctx, c, tables.HashOfID(id))
	if err != nil {
		return nil, err
	}
	return q.withID(ctx, c, id, seqs)
}

// withID returns the event with the id among several, or nil.
func (q *Queue) withID(ctx context.Context, c *tables.Conn, id string, seqs []int64) (*tables.Record, error) {
	for _, seq := range seqs {
		r, err := q.load(ctx, c, seq)
		if errors.Is(err, policy.ErrDamaged) {
			q.foundUnreadable(seq, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		if r != nil && r.ID == id {
			return r, nil
		}
	}
	return nil, nil
}

// Event implements queue.Queue.
func (q *Queue) Event(ctx context.Context, id string) (queue.Record, error) {
	r, err := q.find(ctx, id)
	if err != nil {
		return queue.Record{}, err
	}
	return r.Record(), nil
}

// find returns the event with the id, or ErrNotFound.
func (q *Queue) find(ctx context.Context, id string) (r *tables.Record, err error) {
	if err := q.closed(); err != nil {
		return nil, err
	}
	err = q.readers.With(ctx, func(c *tables.Conn) (err error) {
		r, err = q.findID(ctx, c, id)
		return err
	})
	q.repairIfDamaged(err)
	if err == nil && (r == nil || r.SetAside == policy.Tombstone) {
		err = queue.ErrNotFound
	}
	if err != nil {
		return nil, fmt.Errorf("looking for event %s: %w", id, err)
	}
	return r, nil
}

// Payload implements queue.Queue.
func (q *Queue) Payload(ctx context.Context, id string) (*event.Event, error) {
	r, err := q.find(ctx, id)
	if err != nil {
		return nil, err
	}
	if r.Size == 0 {
		return nil, fmt.Errorf("reading event %s: %w", id, queue.ErrNoPayload)
	}
	var sealed []byte
	err = q.readers.With(ctx, func(c *tables.Conn) (err error) {
		sealed, err = tables.LoadPayload(ctx, c, r.Seq)
		return err
	})
	switch {
	case errors.Is(err, policy.ErrDamaged):
		if err := q.survey(); err != nil {
			return nil, fmt.Errorf("reading event %s: %w", id, err)
		}
		q.foundUnreadable(r.Seq, err)
		return nil, fmt.Errorf("reading event %s: %w: %w", id, queue.ErrUnreadable, err)
	case err != nil:
		return nil, fmt.Errorf("reading event %s: %w", id, err)
	case sealed == nil: // deleted meanwhile
		return nil, fmt.Errorf("reading event %s: %w", id, queue.ErrNoPayload)
	}
	return policy.OpenEvent(q.ring.Load(), id, sealed)
}

// findAll returns the events with the ids, without duplicates, or ErrNotFound.
func (t *tx) findAll(ids []string) ([]*tables.Record, error) {
	var all []*tables.Record
	seen := make(map[string]bool)
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		r, err := t.q.findID(context.Background(), t.c, id)
		if err != nil {
			return nil, err
		}
		if r == nil || r.SetAside == policy.Tombstone {
			return nil, fmt.Errorf("event %s: %w", id, queue.ErrNotFound)
		}
		all = append(all, &tables.Record{Seq: r.Seq, Event: *r.Clone()}) // the caller may change it
	}
	return all, nil
}
