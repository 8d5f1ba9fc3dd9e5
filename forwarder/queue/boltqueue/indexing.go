package boltqueue

import (
	"bytes"
	"cmp"
	"slices"

	"go.etcd.io/bbolt"
)

// An indexing takes recent ids to the bucket of all ids, or deletes the entries of
// those that have been.
type indexing struct {
	queue *Queue
	ids   []recentID
	last  uint64 // where ids is empty: up to which place to delete
	whole bool   // whether that was all
}

// indexing returns the next step, if it is time for one.
func (q *Queue) indexing() *indexing {
	r := q.recent
	if len(r.moving) == 0 && r.last == 0 && r.size() >= r.wait && r.gather(q) != nil {
		r.failed()
	}
	switch {
	case len(r.moving) > 0:
		return &indexing{queue: q, ids: r.moving[:min(r.slice, len(r.moving))]}
	case r.last > 0:
		return &indexing{queue: q, last: r.last}
	}
	return nil
}

// gather begins to take all that there are now to the bucket of all ids.
func (r *recent) gather(q *Queue) error {
	err := q.view(func(tx *bbolt.Tx) error {
		r.moving = recentIDs(tx)
		return nil
	})
	for _, e := range r.moving {
		r.last = max(r.last, e.seq)
	}
	slices.SortFunc(r.moving, func(a, b recentID) int { return cmp.Compare(a.id, b.id) })
	return err
}

// failed gives up what could not be taken there, until there are as many again.
func (r *recent) failed() {
	r.moving, r.last, r.wait = nil, 0, r.size()+r.enough
}

func (o *indexing) apply(t *txn) error {
	for _, e := range o.ids {
		if t.recentSeq(e.id) == e.seq { // else the event has been deleted
			t.put(bucketIDs, []byte(e.id), timeSeqKey(e.receivedAt, e.seq))
		}
	}
	if len(o.ids) == 0 {
		o.trim(t)
	}
	t.stored += int64(len(o.ids)) * int64(t.tx.DB().Info().PageSize) // which each may change
	return t.err
}

func (o *indexing) trim(t *txn) {
	b := t.bucket(bucketRecent)
	if b == nil {
		return
	}
	var keys [][]byte
	cur := b.Cursor()
	for k, _ := cur.First(); k != nil && len(keys) < o.queue.recent.trim; k, _ = cur.Next() {
		if seq, ok := parseRecentKey(k); !ok || seq > o.last {
			break
		}
		keys = append(keys, bytes.Clone(k))
	}
	for _, k := range keys {
		t.del(bucketRecent, k)
	}
	o.whole = len(keys) < o.queue.recent.trim
}

func (o *indexing) done(err error) {
	r := o.queue.recent
	switch {
	case err != nil:
		r.failed()
	case len(o.ids) == 0 && o.whole:
		r.moving, r.last, r.wait = nil, 0, r.enough
	default:
		r.moving = r.moving[len(o.ids):]
		r.leave(o.ids)
	}
}

// leave forgets ids that the bucket of all ids has.
func (r *recent) leave(ids []recentID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, e := range ids {
		if h := r.hash(e.id); r.seqs[h] == e.seq {
			delete(r.seqs, h)
		}
	}
}
