package postgresqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// Replay implements queue.Queue.
func (q *Queue) Replay(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
	if err := q.usable(); err != nil {
		return queue.Replayed{}, err
	}
	if err := s.Check(); err != nil {
		return queue.Replayed{}, err
	}
	total, err := q.replay(ctx, s)
	if err != nil {
		return total, fmt.Errorf("replaying: %w", err)
	}
	return total, nil
}

func (q *Queue) replay(ctx context.Context, s queue.ReplaySelection) (total queue.Replayed, err error) {
	if err := q.writer.Flush(ctx); err != nil { // so that earlier outcomes count
		return total, err
	}
	if s.ByID() {
		err := q.do(ctx, func(t *tx) (err error) {
			total, err = t.replayIDs(s)
			return err
		})
		if err != nil {
			return queue.Replayed{}, err
		}
		s.Progress.Report(int64(len(s.IDs)), int64(len(s.IDs)))
		return total, nil
	}
	text, args := inState(s.State, s.IDs)
	if s.State == "" {
		text, args = receivedSeqs, []any{seqSince(s.Since), policy.Nanos(s.Since), q.horizon()}
	}
	err = q.inSteps(ctx, s.Progress, func(t *tx, seqs []int64) (gone int, done func(), err error) {
		var some queue.Replayed
		for _, seq := range seqs {
			r := t.load(seq)
			if r == nil {
				gone++
			} else if err := t.replay(r, s, &some); err != nil {
				return 0, nil, err
			}
		}
		return gone, func() {
			total.Deliveries += some.Deliveries
			total.WithoutPayload += some.WithoutPayload
			total.Unrouted += some.Unrouted
		}, nil
	}, text, args...)
	return total, err
}

// selects returns a function that reports whether a delivery of the event is to be
// replayed. What another node leases is claimed there, or will be soon.
func (t *tx) selects(s queue.ReplaySelection, r *tables.Record) func(*policy.Delivery) bool {
	selected := r.Selects(s)
	return func(d *policy.Delivery) bool {
		leasedBy := r.Nodes[d.Upstream]
		_, held := t.q.leases.Of(d.Upstream).Holder(r.Seq)
		return !held && (leasedBy == 0 || leasedBy == t.node) && selected(d)
	}
}

// replay replays one event of a selection by state or time.
func (t *tx) replay(r *tables.Record, s queue.ReplaySelection, out *queue.Replayed) error {
	switch {
	case r.SetAside != "":
		if !r.InState(s.State, s.Match)(nil) {
			return nil
		}
	case !r.Covers(s):
		return nil
	case r.Size == 0:
		out.WithoutPayload++
		return nil
	}
	route, err := t.route(r, s)
	switch {
	case errors.Is(err, queue.ErrUnreadable):
		out.WithoutPayload++
		return nil
	case err != nil:
		return err
	case r.SetAside != "" && len(route) == 0:
		out.Unrouted++
		return nil
	}
	t.replayRecord(r, route, s, out)
	return nil
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
		t.replayRecord(r, routes[i], s, &out)
	}
	return out, nil
}

// replayRecord replays an event and makes its deliveries due.
func (t *tx) replayRecord(r *tables.Record, route []string, s queue.ReplaySelection, out *queue.Replayed) {
	after := r.Clone()
	rerouted := s.ByID() && s.Route != nil && after.Reroute(route)
	n := after.Replay(route, t.selects(s, r))
	if n == 0 && !rerouted {
		return
	}
	out.Deliveries += n
	t.set(after)
	for i := range after.Deliveries {
		name := after.Deliveries[i].Upstream
		t.publish(func() {
			t.q.leases.Of(name).Forget(false)
			t.q.wakeUp(name)
		})
	}
}

// route returns the upstreams in the selection to which an event that is set aside goes
// now, with the stages of Route. For an event that waits for its completion it returns
// all that Route returns, and for any other nil.
func (t *tx) route(r *tables.Record, s queue.ReplaySelection) ([]string, error) {
	if s.Route == nil || r.SetAside == "" && r.Completion() == nil {
		return nil, nil
	}
	sealed, err := t.loadPayload(r.Seq)
	if err != nil {
		return nil, err
	}
	e, err := t.q.open(r.Seq, r.ID, sealed)
	if err != nil {
		return nil, err
	}
	route := slices.Compact(slices.Sorted(slices.Values(s.Route(e))))
	if r.SetAside == "" {
		return route, nil
	}
	return policy.Restrict(route, s.Upstreams), nil
}
