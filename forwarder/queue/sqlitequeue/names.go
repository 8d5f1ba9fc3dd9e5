package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	// manyNames is how many names are collected in memory before they are written,
	// unless a test sets another number.
	manyNames = 1 << 16

	// namesPerEvent is how many names are written with each event that is stored
	// meanwhile: more than come with it.
	namesPerEvent = 8
)

// names are those of the newest events, which are not in table name yet.
//
// Hashes have no order in time: written with their events, those of each transaction
// would lie on as many pages of the table as there are names, and each page would have
// to be written for one of them. So they are collected, and written in the order of
// the hashes, some with every transaction that stores events. What is in memory is
// read from table event at the start, beginning with the first event after meta.named.
type names struct {
	mu     sync.RWMutex
	recent map[int64][]int64 // the seqs by the hash

	// The writer's own.
	many    int
	batch   []tables.Name // being written, in the order of the hashes; what is left of it
	through int64         // all events up to this one are in the batch, or in the table
	count   int           // of recent
}

// read replaces all by the names that are not in a database's table.
func (n *names) read(ctx context.Context, c *tables.Conn) error {
	n.mu.Lock()
	n.recent, n.batch, n.through, n.count = make(map[int64][]int64), nil, 0, 0
	n.mu.Unlock()
	return c.Query(ctx, `SELECT seq, id, subject FROM event WHERE seq > (SELECT named FROM meta) ORDER BY seq`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		n.add(tables.NamesOf(&tables.Record{Seq: s.Int(), Event: policy.Event{ID: s.Text(), Subject: s.Text()}})...)
		return nil
	})
}

// add adds the names of an event. Only the writer changes what is there.
func (n *names) add(names ...tables.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range names {
		n.recent[x.Hash] = append(n.recent[x.Hash], x.Seq)
		n.count++
	}
}

func (n *names) drop(names ...tables.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range names {
		seqs := slices.DeleteFunc(slices.Clone(n.recent[x.Hash]), func(seq int64) bool { return seq == x.Seq })
		n.count -= len(n.recent[x.Hash]) - len(seqs)
		if n.recent[x.Hash] = seqs; len(seqs) == 0 {
			delete(n.recent, x.Hash)
		}
	}
}

// find returns the seqs of the newest events that may have the name.
func (n *names) find(hash int64) []int64 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Clone(n.recent[hash])
}

func (t *tx) addNames(r *tables.Record) {
	names := tables.NamesOf(r)
	t.publish(func() { t.q.names.add(names...) })
}

// deleteNames deletes the names that an event had before a change and has no longer.
// After is nil where the event is deleted.
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
	t.publish(func() { t.q.names.drop(names...) })
	return nil
}

func rowsOf(names []tables.Name) (rows [][]driver.Value) {
	for _, n := range names {
		rows = append(rows, n.Row())
	}
	return rows
}

// writeNames writes some of the names that are due.
func (t *tx) writeNames(stored int) error {
	n := &t.q.names
	if stored == 0 {
		return nil
	}
	if len(n.batch) == 0 && n.count >= n.many {
		for h, seqs := range n.recent {
			for _, seq := range seqs {
				n.batch = append(n.batch, tables.Name{Hash: h, Seq: seq})
			}
		}
		slices.SortFunc(n.batch, tables.CompareNames)
		n.through = t.q.lastSeq
	}
	some := n.batch[:min(len(n.batch), stored*namesPerEvent)]
	if len(some) == 0 {
		return nil
	}
	kept := slices.DeleteFunc(slices.Clone(some), func(x tables.Name) bool { return !slices.Contains(n.recent[x.Hash], x.Seq) }) // deleted meanwhile
	if err := t.insert(`INSERT OR IGNORE`+tables.IntoName, rowsOf(kept)...); err != nil {
		return err
	}
	last := len(some) == len(n.batch)
	if last {
		if err := t.exec(`UPDATE meta SET named = ?`, n.through); err != nil {
			return err
		}
	}
	t.publish(func() {
		n.drop(some...)
		if n.batch = n.batch[len(some):]; last {
			n.batch = nil
		}
	})
	return nil
}

// named returns the seqs of the events that may have the name, newest first.
func (q *Queue) named(ctx context.Context, c *tables.Conn, hash int64) ([]int64, error) {
	seqs := q.names.find(hash) // before the table, which they may go to meanwhile
	err := c.Query(ctx, `SELECT seq FROM name WHERE hash = ?`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		seqs = append(seqs, s.Int())
		return nil
	}, hash)
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

// withID returns the one of several events that has the id, or nil.
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
