package boltqueue

import (
	"context"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// changeSlice is how many events one transaction replays or purges, so that
// accepting is not held up. Those that are named are all in one, since all or
// none of them are changed.
const changeSlice = 200

// named finds the events with the ids, each once, for a change in t.
func (t *txn) named(ids []string) (seqs []uint64, records []*record, err error) {
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		seq, r, err := find(t.tx, id, t.recentSeq(id))
		if err != nil {
			return nil, nil, err
		}
		seqs, records = append(seqs, seq), append(records, r)
	}
	return seqs, records, nil
}

// A walk finds the events of a selection that names none, and has something done
// to them.
type walk struct {
	indexes []string // every event that can match is in one of them
	match   func(*record) bool

	// change is called with a slice of the events at a time. What happens to them
	// meanwhile is its to see: it is called in a later transaction than the one
	// that found them, and maybe more than once.
	change func(t *txn, seqs []uint64) error

	done     func() // called after each slice that is durable
	progress queue.Progress
}

// inSlices goes through the events of a walk, the newest first.
func (q *Queue) inSlices(ctx context.Context, w walk) error {
	var total, dealt int64
	if w.progress != nil {
		var err error
		if total, err = q.count(ctx, w); err != nil {
			return err
		}
	}
	w.progress.Report(dealt, total)
	for below := uint64(newest); ; {
		if err := ctx.Err(); err != nil {
			return err
		}
		var seqs []uint64
		err := q.scan(w.indexes, below, func(seq uint64, r *record) bool {
			if w.match(r) {
				seqs = append(seqs, seq)
			}
			return len(seqs) < changeSlice && ctx.Err() == nil
		})
		if err != nil {
			return err
		}
		if len(seqs) == 0 {
			break
		}
		below = seqs[len(seqs)-1]
		if err := q.do(ctx, func(t *txn) error { return w.change(t, seqs) }); err != nil {
			return err
		}
		w.done()
		dealt += int64(len(seqs))
		w.progress.Report(dealt, max(total, dealt))
	}
	w.progress.Report(dealt, dealt) // some may have gone by themselves since they were counted
	return nil
}

// count counts the events of a walk.
func (q *Queue) count(ctx context.Context, w walk) (n int64, err error) {
	err = q.scan(w.indexes, newest, func(_ uint64, r *record) bool {
		if w.match(r) {
			n++
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	return n, err
}
