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
)

// Replay implements queue.Queue.
func (q *Queue) Replay(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
	if err := q.closed(); err != nil {
		return queue.Replayed{}, err
	}
	if err := s.Check(); err != nil {
		return queue.Replayed{}, err
	}
	if err := q.writer.Flush(ctx); err != nil { // so that the tables are complete
		return queue.Replayed{}, fmt.Errorf("replaying: %w", err)
	}
	var total queue.Replayed
	if s.ByID() {
		err := q.do(ctx, func(t *tx) (err error) {
			total, err = t.replayIDs(s)
			return err
		})
		if err != nil {
			return queue.Replayed{}, fmt.Errorf("replaying: %w", err)
		}
		s.Progress.Report(int64(len(s.IDs)), int64(len(s.IDs)))
		return total, nil
	}
	selected := q.inState(s.State, s.IDs)
	if s.State == "" {
		since := policy.Nanos(s.Since)
		selected = inSelections(selection{`SELECT seq FROM event WHERE seq >= ? AND received_at >= ? AND state <= 2`, []driver.Value{since / 1000, since}})
	}
	err := q.inSteps(ctx, selected, s.Progress, func(seqs []int64) (gone int, err error) {
		var some queue.Replayed
		err = q.do(ctx, func(t *tx) error {
			some, gone = queue.Replayed{}, 0
			for _, seq := range seqs {
				there, err := t.replay(seq, s, &some)
				if err != nil {
					return err
				}
				if !there {
					gone++
				}
			}
			return nil
		})
		if err != nil {
			return 0, err
		}
		total.Deliveries += some.Deliveries
		total.WithoutPayload += some.WithoutPayload
		total.Unrouted += some.Unrouted
		return gone, nil
	})
	if err != nil {
		return total, fmt.Errorf("replaying: %w", err)
	}
	return total, nil
}

// replay replays one event of a selection by state or time, and reports whether it
// still exists.
func (t *tx) replay(seq int64, s queue.ReplaySelection, out *queue.Replayed) (there bool, err error) {
	r, err := t.load(seq)
	if err != nil || r == nil {
		return false, err
	}
	switch {
	case r.SetAside != "":
		if !r.InState(s.State, s.Match)(nil) {
			return true, nil
		}
	case !r.Covers(s):
		return true, nil
	case r.Size == 0:
		out.WithoutPayload++
		return true, nil
	}
	route, err := t.route(r, s)
	switch {
	case errors.Is(err, queue.ErrUnreadable):
		out.WithoutPayload++
		return true, nil
	case err != nil:
		return true, err
	case r.SetAside != "" && len(route) == 0:
		out.Unrouted++
		return true, nil
	}
	return true, t.replayRecord(r, route, s, out)
}

func (t *tx) replayIDs(s queue.ReplaySelection) (out queue.Replayed, err error) {
	all, err := t.findAll(s.IDs)
	if err != nil {
		return out, err
	}
	routes := make([][]string, len(all))
	for i, r := range all {
		if err := r.CheckReplay(s); err != nil {
			return out, err
		}
		if routes[i], err = t.route(r, s); err != nil {
			return out, err
		}
		if r.SetAside != "" && len(routes[i]) == 0 {
			return out, fmt.Errorf("event %s: %w", r.ID, queue.ErrUnrouted)
		}
	}
	for i, r := range all {
		if err := t.replayRecord(r, routes[i], s, &out); err != nil {
			return out, err
		}
	}
	return out, nil
}

// replayRecord replays an event and makes its deliveries due.
func (t *tx) replayRecord(r *tables.Record, route []string, s queue.ReplaySelection, out *queue.Replayed) error {
	before := &tables.Record{Seq: r.Seq, Event: *r.Clone()}
	rerouted := s.ByID() && s.Route != nil && r.Reroute(route)
	selected := r.Selects(s)
	n := r.Replay(route, func(d *policy.Delivery) bool { return selected(d) && !t.q.leases.of(d.Upstream).isLeased(r.Seq) })
	if n == 0 && !rerouted {
		return nil
	}
	out.Deliveries += n
	if err := t.update(before, r); err != nil {
		return err
	}
	if rerouted {
		t.publish(func() {
			t.q.recent.Drop(r.Seq) // no Load by the completion any more
			t.q.dropHeld(r.Seq)
		})
	}
	for i := range r.Deliveries {
		name := r.Deliveries[i].Upstream
		t.publish(func() {
			t.q.leases.of(name).reread()
			t.q.wakeUp(name)
		})
	}
	return nil
}

// route returns the upstreams in the selection to which an event that is set aside goes
// now, with the stages of Route. For an event that waits for its completion it returns
// all that Route returns, and for any other nil.
func (t *tx) route(r *tables.Record, s queue.ReplaySelection) ([]string, error) {
	if s.Route == nil || r.SetAside == "" && r.Completion() == nil {
		return nil, nil
	}
	sealed, err := tables.LoadPayload(context.Background(), t.c, r.Seq)
	if err != nil {
		return nil, err
	}
	e, err := policy.OpenEvent(t.q.ring.Load(), r.ID, sealed)
	if err != nil {
		t.q.foundUnreadable(r.Seq, err)
		return nil, err
	}
	route := slices.Compact(slices.Sorted(slices.Values(s.Route(e))))
	if r.SetAside == "" {
		return route, nil
	}
	return policy.Restrict(route, s.Upstreams), nil
}
