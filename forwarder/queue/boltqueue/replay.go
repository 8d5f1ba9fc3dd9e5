package boltqueue

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Replay implements queue.Queue. A delivery that is claimed is left to its
// claim. Where ctx ends or the disk fails midway, the answer counts what has
// been replayed until then.
func (q *Queue) Replay(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
	if err := s.Check(); err != nil {
		return queue.Replayed{}, err
	}
	q.catchUp(ctx)
	var total queue.Replayed
	var err error
	if len(s.IDs) > 0 {
		total, err = q.replayNamed(ctx, s)
	} else {
		total, err = q.replayMatching(ctx, s)
	}
	if err != nil {
		return total, fmt.Errorf("replaying events: %w", err)
	}
	return total, nil
}

func (q *Queue) replayNamed(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
	var out queue.Replayed
	var refused error
	var events int64
	err := q.do(ctx, func(t *txn) error {
		out = queue.Replayed{}
		var seqs []uint64
		var records []*record
		if seqs, records, refused = t.named(s.IDs); refused != nil {
			return nil
		}
		for _, r := range records {
			if refused = replayable(r, s.Upstreams); refused != nil {
				return nil
			}
		}
		events = int64(len(records))
		for i, r := range records {
			out.Deliveries += t.replay(seqs[i], r, s)
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return queue.Replayed{}, err
	}
	s.Progress.Report(events, events)
	return out, nil
}

// replayable tells why an event that is named cannot be replayed.
func replayable(r *record, upstreams []string) error {
	switch {
	case r.quarantined:
		return fmt.Errorf("event %s: %w: it is quarantined, and for no upstream; look at its payload and purge it", r.id, queue.ErrInvalid)
	case !r.payload:
		return fmt.Errorf("event %s: %w", r.id, queue.ErrNoPayload)
	}
	var others []string
	for i := range r.deliveries {
		u := r.deliveries[i].upstream
		if upstreams == nil || slices.Contains(upstreams, u) {
			return nil
		}
		others = append(others, u)
	}
	return fmt.Errorf("event %s: %w for upstream %s: it is for %s", r.id, queue.ErrNotFound,
		strings.Join(upstreams, ", "), strings.Join(others, ", "))
}

func (q *Queue) replayMatching(ctx context.Context, s queue.ReplaySelection) (queue.Replayed, error) {
	indexes := []string{bucketEvents}
	if s.Dead {
		indexes = nil
		for _, upstream := range s.Upstreams {
			indexes = append(indexes, q.indexes(queue.Dead, upstream)...)
		}
		if s.Upstreams == nil {
			indexes = q.indexes(queue.Dead, "")
		}
	}
	since := nanos(s.Since)
	match := func(r *record) bool {
		if r.receivedAt < since {
			return false
		}
		for i := range r.deliveries {
			if selected(&r.deliveries[i], s) {
				return true
			}
		}
		return false
	}
	var total queue.Replayed
	var slice queue.Replayed
	change := func(t *txn, seqs []uint64) error {
		slice = queue.Replayed{}
		for _, seq := range seqs {
			r := t.record(seq)
			switch {
			case r == nil || !match(r):
			case !r.payload:
				slice.WithoutPayload++
			default:
				slice.Deliveries += t.replay(seq, r, s)
			}
		}
		return nil
	}
	done := func() {
		total.Deliveries += slice.Deliveries
		total.WithoutPayload += slice.WithoutPayload
	}
	err := q.inSlices(ctx, walk{indexes: indexes, match: match, change: change, done: done, progress: s.Progress})
	return total, err
}

// selected reports whether a selection is of the delivery, given that it is of
// its event.
func selected(d *delivery, s queue.ReplaySelection) bool {
	return (s.Upstreams == nil || slices.Contains(s.Upstreams, d.upstream)) && (!s.Dead || d.state == queue.Dead)
}

// claimed reports whether a delivery is claimed. A claim whose outcome is in this
// transaction is over, although it ends only when that is durable.
func (t *txn) claimed(upstream string, seq uint64) bool {
	return t.lanes.of(upstream).isClaimed(seq) && !slices.Contains(t.settled, place{upstream: upstream, seq: seq})
}

// replay makes an event's selected deliveries due, but for those that are claimed,
// and returns how many.
func (t *txn) replay(seq uint64, r *record, s queue.ReplaySelection) int {
	var again []*delivery
	for i := range r.deliveries {
		d := &r.deliveries[i]
		if selected(d, s) && (d.state != queue.Pending || !t.claimed(d.upstream, seq)) {
			again = append(again, d)
		}
	}
	if len(again) == 0 {
		return 0
	}
	t.revive(seq, r)
	for _, d := range again {
		t.unindex(seq, d)
		d.state, d.attempts, d.used, d.next = queue.Pending, 0, 0, 0
		t.index(seq, d)
		t.rewound = append(t.rewound, place{upstream: d.upstream, seq: seq})
		t.wakeUp(d.upstream)
	}
	t.putRecord(seq, r)
	return len(again)
}
