package sqlitequeue

import (
	"context"
	"fmt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Purge implements queue.Queue.
func (q *Queue) Purge(ctx context.Context, s queue.PurgeSelection) (int, error) {
	if err := q.closed(); err != nil {
		return 0, err
	}
	if err := s.Check(); err != nil {
		return 0, err
	}
	if err := q.writer.Flush(ctx); err != nil { // so that the tables are complete
		return 0, fmt.Errorf("purging: %w", err)
	}
	n := 0
	if s.ByID() {
		err := q.do(ctx, func(t *tx) (err error) {
			n, err = t.purgeIDs(s)
			return err
		})
		if err != nil {
			return 0, fmt.Errorf("purging: %w", err)
		}
		s.Progress.Report(int64(len(s.IDs)), int64(len(s.IDs)))
		return n, nil
	}
	selected := q.inState(s.State, s.IDs)
	if s.Upstream != "" {
		selected = inSelections()
		if id, known := q.upstreams.ID(s.Upstream); known && !queue.IsStage(s.Upstream) {
			selected = inSelections(ofUpstream(id, queue.Pending, queue.Dead)...)
		}
	}
	err := q.inSteps(ctx, selected, s.Progress, func(seqs []int64) (gone int, err error) {
		some := 0
		err = q.do(ctx, func(t *tx) error {
			some, gone = 0, 0
			for _, seq := range seqs {
				r, err := t.load(seq)
				switch {
				case err != nil:
					return err
				case r == nil:
					gone++
					continue
				}
				purged, err := t.purge(r, s)
				if err != nil {
					return err
				}
				if purged {
					some++
				}
			}
			return nil
		})
		if err == nil {
			n += some
		}
		return gone, err
	})
	if err != nil {
		return n, fmt.Errorf("purging: %w", err)
	}
	return n, nil
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
		if s.DryRun {
			continue
		}
		if err := t.delete(r); err != nil {
			return 0, err
		}
		t.purged(r, nil)
	}
	return len(all), nil
}

// purge deletes the selected deliveries of an event, and reports whether there were
// any.
func (t *tx) purge(r *tables.Record, s queue.PurgeSelection) (done bool, err error) {
	if !s.Before.IsZero() && r.ReceivedAt >= policy.Nanos(s.Before) {
		return false, nil
	}
	before := &tables.Record{Seq: r.Seq, Event: *r.Clone()}
	inState := r.InState(s.State, s.Match)
	whole := inState(nil)
	dropped := r.Drop(t.now, t.settings.KeepDelivered, func(d *policy.Delivery) bool {
		return inState(d) || s.Upstream == d.Upstream && d.State != queue.Delivered
	})
	if !whole && dropped == 0 {
		return false, nil
	}
	if s.DryRun {
		return true, nil
	}
	if whole || len(r.Deliveries) == 0 {
		t.purged(before, nil)
		return true, t.delete(before)
	}
	t.purged(before, r)
	return true, t.update(before, r)
}

// purged drops the event from memory. after is the remaining event, or nil.
func (t *tx) purged(before, after *tables.Record) {
	t.publish(func() {
		t.q.recent.Drop(before.Seq)
		if after == nil || !after.Pending() {
			t.q.dropHeld(before.Seq)
		}
		if after == nil {
			t.q.unreadable.Delete(before.Seq)
		}
	})
}
