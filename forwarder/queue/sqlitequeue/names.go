package sqlitequeue

import (
	"cmp"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// nameHash returns the hash by which an id, or a subject, is found.
func nameHash(kind byte, name string) int64 {
	h := sha256.Sum256(append([]byte{kind}, name...))
	return int64(binary.BigEndian.Uint64(h[:]))
}

// The kinds of names.
const (
	anID     = 'i'
	aSubject = 's'
)

// hashes returns the hashes under which an event is found.
func hashes(e *policy.Event) []int64 {
	h := []int64{nameHash(anID, e.ID)}
	if e.Subject != "" {
		h = append(h, nameHash(aSubject, e.Subject))
	}
	return h
}

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
	batch   []name // being written, in the order of the hashes; what is left of it
	through int64  // all events up to this one are in the batch, or in the table
	count   int    // of recent
}

// A name is a row of table name.
type name struct {
	hash, seq int64
}

// read replaces all by the names that are not in a database's table.
func (n *names) read(ctx context.Context, c *conn) error {
	n.mu.Lock()
	n.recent, n.batch, n.through, n.count = make(map[int64][]int64), nil, 0, 0
	n.mu.Unlock()
	return c.query(ctx, `SELECT seq, id, subject FROM event WHERE seq > (SELECT named FROM meta) ORDER BY seq`, func(row []driver.Value) error {
		s := scanner{row: row}
		r := record{seq: s.int(), Event: policy.Event{ID: s.text(), Subject: s.text()}}
		n.add(r.seq, hashes(&r.Event))
		return nil
	})
}

// add adds the names of an event. Only the writer changes what is there.
func (n *names) add(seq int64, hashes []int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range hashes {
		n.recent[h] = append(n.recent[h], seq)
		n.count++
	}
}

func (n *names) drop(seq int64, hashes []int64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range hashes {
		seqs := slices.DeleteFunc(slices.Clone(n.recent[h]), func(s int64) bool { return s == seq })
		n.count -= len(n.recent[h]) - len(seqs)
		if n.recent[h] = seqs; len(seqs) == 0 {
			delete(n.recent, h)
		}
	}
}

// find returns the seqs of the newest events that may have the name.
func (n *names) find(hash int64) []int64 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Clone(n.recent[hash])
}

func (t *tx) addNames(r *record) {
	h := hashes(&r.Event)
	t.publish(func() { t.q.names.add(r.seq, h) })
}

// deleteNames deletes the names that an event had before a change and has no longer.
// After is nil where the event is deleted.
func (t *tx) deleteNames(r, after *record) error {
	h := hashes(&r.Event)
	if after != nil {
		has := hashes(&after.Event)
		h = slices.DeleteFunc(h, func(hash int64) bool { return slices.Contains(has, hash) })
	}
	for _, h := range h {
		if err := t.exec(`DELETE FROM name WHERE hash = ? AND seq = ?`, h, r.seq); err != nil {
			return err
		}
	}
	t.publish(func() { t.q.names.drop(r.seq, h) })
	return nil
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
				n.batch = append(n.batch, name{h, seq})
			}
		}
		slices.SortFunc(n.batch, func(a, b name) int { return cmp.Compare(a.hash, b.hash) })
		n.through = t.q.lastSeq
	}
	some := n.batch[:min(len(n.batch), stored*namesPerEvent)]
	if len(some) == 0 {
		return nil
	}
	var rows [][]driver.Value
	for _, x := range some {
		if slices.Contains(n.recent[x.hash], x.seq) { // or it was deleted meanwhile
			rows = append(rows, []driver.Value{x.hash, x.seq})
		}
	}
	if err := t.insertRows(`INSERT OR IGNORE INTO name (hash, seq)`, rows); err != nil {
		return err
	}
	last := len(some) == len(n.batch)
	if last {
		if err := t.exec(`UPDATE meta SET named = ?`, n.through); err != nil {
			return err
		}
	}
	t.publish(func() {
		for _, x := range some {
			n.drop(x.seq, []int64{x.hash})
		}
		if n.batch = n.batch[len(some):]; last {
			n.batch = nil
		}
	})
	return nil
}

// named returns the seqs of the events that may have the name, newest first.
func (q *Queue) named(ctx context.Context, c *conn, hash int64) ([]int64, error) {
	seqs := q.names.find(hash) // before the table, which they may go to meanwhile
	err := c.query(ctx, `SELECT seq FROM name WHERE hash = ?`, func(row []driver.Value) error {
		s := scanner{row: row}
		seqs = append(seqs, s.int())
		return nil
	}, hash)
	slices.Sort(seqs)
	seqs = slices.Compact(seqs)
	slices.Reverse(seqs)
	return seqs, err
}

// findID returns the event with the id, or nil.
func (q *Queue) findID(ctx context.Context, c *conn, id string) (*record, error) {
	seqs, err := q.named(ctx, c, nameHash(anID, id))
	if err != nil {
		return nil, err
	}
	return q.withID(ctx, c, id, seqs)
}

// withID returns the one of several events that has the id, or nil.
func (q *Queue) withID(ctx context.Context, c *conn, id string, seqs []int64) (*record, error) {
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
