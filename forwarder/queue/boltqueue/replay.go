package boltqueue

import (
	"context"
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Replay implements queue.Queue. A delivery that is claimed is left to its
// claim. Where ctx ends or the disk fails midway, the answer counts what has
// been replayed until then.
func (q *Queue) Replay(ctx context.Context, s queue.Selection) (queue.Replayed, error) {
	if err := check(s, "replaying", true); err != nil {
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

func (q *Queue) replayNamed(ctx context.Context, s queue.Selection) (queue.Replayed, error) {
	var out queue.Replayed
	var refused error
	err := q.do(ctx, func(t *txn) error {
		out = queue.Replayed{}
		var seqs []uint64
		var records []*record
		if seqs, records, refused = t.named(s.IDs); refused != nil {
			return nil
		}
		for _, r := range records {
			if refused = replayable(r, s.Upstream); refused != nil {
				return nil
			}
		}
		for i, r := range records {
			if t.replay(seqs[i], r, s) {
				out.Replayed++
			}
		}
		return nil
	})
	if err == nil {
		err = refused
	}
	if err != nil {
		return queue.Replayed{}, err
	}
	s.Progress.Tell(int64(out.Replayed), int64(out.Replayed))
	return out, nil
}

// replayable tells why an event that is named cannot be replayed.
func replayable(r *record, upstream string) error {
	switch {
	case r.quarantined:
		return fmt.Errorf("event %s: %w: it is quarantined, and for no upstream; look at its payload and purge it", r.id, queue.ErrInvalid)
	case !r.payload:
		return fmt.Errorf("event %s: %w", r.id, queue.ErrNoPayload)
	case upstream != "" && r.delivery(upstream) == nil:
		return fmt.Errorf("event %s: %w for upstream %s", r.id, queue.ErrNotFound, upstream)
	}
	return nil
}

func (q *Queue) replayMatching(ctx context.Context, s queue.Selection) (queue.Replayed, error) {
	indexes := []string{bucketEvents}
	if s.Dead {
		indexes = q.indexes(queue.Dead, s.Upstream)
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
			case t.replay(seq, r, s):
				slice.Replayed++
			}
		}
		return nil
	}
	done := func() {
		total.Replayed += slice.Replayed
		total.WithoutPayload += slice.WithoutPayload
	}
	err := q.inSlices(ctx, walk{indexes: indexes, match: match, change: change, done: done, progress: s.Progress})
	return total, err
}

// selected reports whether a selection is of the delivery, given that it is of
// its event.
func selected(d *delivery, s queue.Selection) bool {
	return (s.Upstream == "" || d.upstream == s.Upstream) && (!s.Dead || d.state == queue.Dead)
}

// claimed reports whether a delivery is claimed. A claim whose outcome is in this
// transaction is over, although it ends only when that is durable.
func (t *txn) claimed(upstream string, seq uint64) bool {
	return t.lanes.of(upstream).isClaimed(seq) && !slices.Contains(t.settled, place{upstream: upstream, seq: seq})
}

// replay makes an event's selected deliveries due, and reports whether there
// were any that are not claimed.
func (t *txn) replay(seq uint64, r *record, s queue.Selection) bool {
	var again []*delivery
	for i := range r.deliveries {
		d := &r.deliveries[i]
		if selected(d, s) && (d.state != queue.Pending || !t.claimed(d.upstream, seq)) {
			again = append(again, d)
		}
	}
	if len(again) == 0 {
		return false
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
	return true
}
