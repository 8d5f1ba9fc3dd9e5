package boltqueue

import (
	"context"
	"fmt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// changeSlice is how many events one transaction replays or purges, so that
// accepting is not held up. Those that are named are all in one, since all or
// none of them are changed.
const changeSlice = 200

// check returns ErrInvalid unless the selection is of exactly one kind.
func check(s queue.Selection, doing string, since bool) error {
	kinds := 0
	for _, set := range []bool{len(s.IDs) > 0, s.Dead, !s.Since.IsZero()} {
		if set {
			kinds++
		}
	}
	if kinds != 1 || (!since && !s.Since.IsZero()) {
		return fmt.Errorf("%s events: %w: select them in exactly one way", doing, queue.ErrInvalid)
	}
	return nil
}

// named finds the events with the ids, each once, for a change in t.
func (t *txn) named(ids []string) (seqs []uint64, records []*record, err error) {
	seen := make(map[string]bool, len(ids))
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		seq, r, err := find(t.tx, id)
		if err != nil {
			return nil, nil, err
		}
		seqs, records = append(seqs, seq), append(records, r)
	}
	return seqs, records, nil
}

// inSlices finds the events in the indexes that match, the newest first, and
// has change called with a slice of them at a time until none is left. What
// happens to events meanwhile is change's to see: it is called in a later
// transaction than the one that found them, and maybe more than once. done is
// called after each slice that is durable.
func (q *Queue) inSlices(ctx context.Context, indexes []string, match func(*record) bool, change func(t *txn, seqs []uint64) error, done func()) error {
	below := uint64(newest)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		var seqs []uint64
		err := q.scan(indexes, below, func(seq uint64, r *record) bool {
			if match(r) {
				seqs = append(seqs, seq)
			}
			return len(seqs) < changeSlice && ctx.Err() == nil
		})
		if err != nil || len(seqs) == 0 {
			return err
		}
		below = seqs[len(seqs)-1]
		if err := q.do(ctx, func(t *txn) error { return change(t, seqs) }); err != nil {
			return err
		}
		done()
	}
}
