package postgresqueue

import (
	"context"
	"fmt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// Purge implements queue.Queue.
func (q *Queue) Purge(ctx context.Context, s queue.PurgeSelection) (int, error) {
	if err := q.usable(); err != nil {
		return 0, err
	}
	if err := s.Check(); err != nil {
		return 0, err
	}
	n, err := q.purge(ctx, s)
	if n > 0 && !s.DryRun {
		q.announceTo(purged)
	}
	if err != nil {
		return n, fmt.Errorf("purging: %w", err)
	}
	return n, nil
}

func (q *Queue) purge(ctx context.Context, s queue.PurgeSelection) (n int, err error) {
	if err := q.writer.Flush(ctx); err != nil { // so that earlier outcomes count
		return 0, err
	}
	if s.ByID() {
		err := q.do(ctx, func(t *tx) (err error) {
			n, err = t.purgeIDs(s)
			return err
		})
		if err != nil {
			return 0, err
		}
		s.Progress.Report(int64(len(s.IDs)), int64(len(s.IDs)))
		return n, nil
	}
	text, args := inState(s.State, s.IDs)
	switch {
	case s.Upstream != "" && queue.IsStage(s.Upstream):
		return 0, nil
	case s.Upstream != "":
		text, args = inStateSeqs, []any{append([]int16{tables.DeliveryDead}, tables.PendingCodes...), s.Upstream}
	}
	err = q.inSteps(ctx, s.Progress, func(t *tx, seqs []int64) (gone int, done func(), err error) {
		some := 0
		for _, seq := range seqs {
			r := t.load(seq)
			switch {
			case r == nil:
				gone++
			case t.purge(r, s):
				some++
			}
		}
		return gone, func() { n += some }, nil
	}, text, args...)
	return n, err
}

func (t *tx) purgeIDs(s queue.PurgeSelection) (int, error) {
	all, err := t.findAll(s.IDs)
	if err != nil {
		return 0, err
	}
	for _, r := range all {
		if r.Pending() && !s.Force {
			return 0, fmt.Errorf("event %s: %w: %s", r.ID, queue.ErrPending, r.UpstreamsIn(queue.Pending))
		}
	}
	for _, r := range all {
		if !s.DryRun {
			t.purged(r)
		}
	}
	return len(all), nil
}

// purge deletes the selected deliveries of an event, and reports whether there were any.
func (t *tx) purge(r *tables.Record, s queue.PurgeSelection) bool {
	if !s.Before.IsZero() && r.ReceivedAt >= policy.Nanos(s.Before) {
		return false
	}
	inState := r.InState(s.State, s.Match)
	whole := inState(nil)
	after := r.Clone()
	dropped := after.Drop(t.now, t.settings.KeepDelivered, func(d *policy.Delivery) bool {
		return inState(d) || s.Upstream == d.Upstream && d.State != queue.Delivered
	})
	switch {
	case !whole && dropped == 0:
		return false
	case s.DryRun:
	case whole || len(after.Deliveries) == 0:
		t.purged(r)
	default:
		t.changes.Purged = true
		t.set(after)
	}
	return true
}

// purged deletes an event with its id.
func (t *tx) purged(r *tables.Record) {
	t.changes.Purged = true
	t.publish(func() {
		t.q.recent.Drop(r.Seq)
		t.q.unreadable.Delete(r.Seq)
	})
	t.forget(r)
}
