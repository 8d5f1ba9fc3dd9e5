package boltqueue

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Purge implements queue.Queue.
func (q *Queue) Purge(ctx context.Context, s queue.PurgeSelection) (n int, err error) {
	if err = s.Check(); err == nil {
		q.catchUp(ctx)
		if len(s.IDs) > 0 {
			n, err = q.purgeNamed(ctx, s)
		} else {
			n, err = q.purgeMatching(ctx, s)
		}
	}
	if err != nil {
		return n, fmt.Errorf("purging events: %w", err)
	}
	return n, nil
}

func (q *Queue) purgeNamed(ctx context.Context, s queue.PurgeSelection) (int, error) {
	var n int
	var refused error
	err := q.do(ctx, func(t *txn) error {
		var seqs []uint64
		var records []*record
		if seqs, records, refused = t.named(s.IDs); refused == nil && !s.Force {
			refused = awaited(records)
		}
		n = len(seqs)
		if refused != nil || s.DryRun {
			return nil
		}
		for i, seq := range seqs {
			t.purge(seq, records[i], func(delivery) bool { return true })
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return 0, err
	}
	s.Progress.Report(int64(n), int64(n))
	return n, nil
}

// awaited returns ErrPending for the first of the events that has a pending
// delivery.
func awaited(records []*record) error {
	for _, r := range records {
		var upstreams []string
		for i := range r.deliveries {
			if d := &r.deliveries[i]; d.state == queue.Pending {
				upstreams = append(upstreams, d.upstream)
			}
		}
		if len(upstreams) > 0 {
			return fmt.Errorf("event %s: %w: %s", r.id, queue.ErrPending, strings.Join(upstreams, ", "))
		}
	}
	return nil
}

func (q *Queue) purgeMatching(ctx context.Context, s queue.PurgeSelection) (total int, err error) {
	picked := func(d delivery) bool {
		return s.Dead && d.state == queue.Dead || d.upstream == s.Upstream && d.state != queue.Delivered
	}
	w := walk{progress: s.Progress, match: func(r *record) bool {
		return (s.Before.IsZero() || r.receivedAt < nanos(s.Before)) &&
			(s.Quarantined && r.quarantined || slices.ContainsFunc(r.deliveries, picked))
	}}
	switch {
	case s.Quarantined:
		w.indexes = q.indexes(queue.Quarantined, "")
	case s.Dead:
		w.indexes = q.indexes(queue.Dead, "")
	default:
		w.indexes = append(q.indexes(queue.Pending, s.Upstream), q.indexes(queue.Dead, s.Upstream)...)
	}
	if s.DryRun {
		n, err := q.count(ctx, w)
		return int(n), err
	}
	var slice int
	w.change = func(t *txn, seqs []uint64) error {
		slice = 0
		for _, seq := range seqs {
			if r := t.record(seq); r != nil && w.match(r) {
				t.purge(seq, r, picked)
				slice++
			}
		}
		return nil
	}
	w.done = func() { total += slice }
	err = q.inSlices(ctx, w)
	return total, err
}

// purge deletes the deliveries of an event that are picked, claimed ones as well,
// and the event with its id when none is left.
func (t *txn) purge(seq uint64, r *record, picked func(delivery) bool) {
	t.revive(seq, r)
	var kept []delivery
	for _, d := range r.deliveries {
		if !picked(d) {
			kept = append(kept, d)
			continue
		}
		t.unindex(seq, &d)
		t.settled = append(t.settled, place{upstream: d.upstream, seq: seq})
	}
	r.deliveries = kept
	if len(kept) == 0 {
		t.remove(seq, r)
		t.forgetName([]byte(r.id), r.receivedAt)
		return
	}
	if !r.has(queue.Pending) {
		t.end(seq, r)
	}
	t.putRecord(seq, r)
}
