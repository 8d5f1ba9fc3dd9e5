package boltqueue

import (
	"context"
	"fmt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Purge implements queue.Queue. An event that is named is deleted in whatever
// state it is. Dead events are those that are dead for an upstream and pending
// for none, and quarantined ones: an event that another upstream still waits
// for is kept.
func (q *Queue) Purge(ctx context.Context, s queue.Selection) (int, error) {
	if err := check(s, "purging", false); err != nil {
		return 0, err
	}
	q.catchUp(ctx)
	var n int
	var err error
	if len(s.IDs) > 0 {
		n, err = q.purgeNamed(ctx, s)
	} else {
		n, err = q.purgeDead(ctx, s)
	}
	if err != nil {
		return n, fmt.Errorf("purging events: %w", err)
	}
	return n, nil
}

func (q *Queue) purgeNamed(ctx context.Context, s queue.Selection) (int, error) {
	var n int
	var refused error
	err := q.do(ctx, func(t *txn) error {
		var seqs []uint64
		var records []*record
		if seqs, records, refused = t.named(s.IDs); refused != nil {
			return nil
		}
		n = len(seqs)
		for i, seq := range seqs {
			t.remove(seq, records[i])
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return 0, err
	}
	s.Progress.Tell(int64(n), int64(n))
	return n, nil
}

func (q *Queue) purgeDead(ctx context.Context, s queue.Selection) (total int, err error) {
	match := func(r *record) bool {
		ended := r.endedAt != 0 && r.class() != classDelivered
		return ended && (s.Before.IsZero() || r.receivedAt < nanos(s.Before))
	}
	indexes := append(q.indexes(queue.Dead, ""), q.indexes(queue.Quarantined, "")...)
	var slice int
	change := func(t *txn, seqs []uint64) error {
		slice = 0
		for _, seq := range seqs {
			if r := t.record(seq); r != nil && match(r) {
				t.remove(seq, r)
				slice++
			}
		}
		return nil
	}
	done := func() { total += slice }
	err = q.inSlices(ctx, walk{indexes: indexes, match: match, change: change, done: done, progress: s.Progress})
	return total, err
}
