package boltqueue

import (
	"context"
	"fmt"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// Events implements queue.Queue. A cursor is the place of a page's last event
// in the order of arrival.
//
// Whatever the filter, it reads no more events than it lists: pending, dead and
// quarantined ones are found by their indexes, delivered ones by blocks. In
// blocks that are unknown all events are read.
func (q *Queue) Events(ctx context.Context, f queue.Filter) (queue.Page, error) {
	below := uint64(newest)
	if f.Cursor != "" {
		n, err := strconv.ParseUint(f.Cursor, 10, 64)
		if err != nil {
			return queue.Page{}, fmt.Errorf("listing events: %w: the cursor is not one of a page", queue.ErrInvalid)
		}
		below = n
	}
	switch f.State {
	case "", queue.Pending, queue.Delivered, queue.Dead, queue.Quarantined:
	default:
		return queue.Page{}, fmt.Errorf("listing events: %w: the state must be pending, delivered, dead or quarantined", queue.ErrInvalid)
	}

	q.catchUp(ctx)
	var page queue.Page
	var last uint64
	limit := max(1, f.Limit)
	err := q.scan(q.indexes(f.State, f.Upstream), below, func(seq uint64, r *record) bool {
		switch {
		case ctx.Err() != nil:
			return false
		case !matches(r, f):
			return true
		case len(page.Records) == limit:
			page.Next = strconv.FormatUint(last, 10)
			return false
		}
		page.Records = append(page.Records, r.told())
		last = seq
		return true
	})
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return queue.Page{}, fmt.Errorf("listing events: %w", err)
	}
	return page, nil
}

func matches(r *record, f queue.Filter) bool {
	if f.State == queue.Quarantined {
		return r.quarantined && f.Upstream == ""
	}
	if f.State == "" && f.Upstream == "" {
		return true
	}
	for i := range r.deliveries {
		d := &r.deliveries[i]
		if (f.State == "" || d.state == f.State) && (f.Upstream == "" || d.upstream == f.Upstream) {
			return true
		}
	}
	return f.State == queue.Delivered && f.Upstream == "" && r.forNobody()
}

// Event implements queue.Queue.
func (q *Queue) Event(ctx context.Context, id string) (queue.Record, error) {
	q.catchUp(ctx)
	var out queue.Record
	recent := q.recent.seq(id)
	err := q.view(func(tx *bbolt.Tx) error {
		_, r, err := find(tx, id, recent)
		if err == nil {
			out = r.told()
		}
		return err
	})
	return out, err
}

// Payload implements queue.Queue.
func (q *Queue) Payload(ctx context.Context, id string) (*event.Event, error) {
	q.catchUp(ctx)
	var e *event.Event
	recent := q.recent.seq(id)
	err := q.view(func(tx *bbolt.Tx) error {
		seq, r, err := find(tx, id, recent)
		if err != nil {
			return err
		}
		if !r.payload {
			return fmt.Errorf("reading the payload of event %s: %w", id, queue.ErrNoPayload)
		}
		e, err = q.ring.Load().open(id, tx.Bucket([]byte(bucketPayloads)).Get(seqKey(seq)))
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// find finds the event with the id, given what lookUp is.
func find(tx *bbolt.Tx, id string, recent uint64) (uint64, *record, error) {
	if id == "" || len(id) > maxID {
		return 0, nil, fmt.Errorf("looking for an event: %w", queue.ErrNotFound)
	}
	e := lookUp(tx, id, recent)
	v := tx.Bucket([]byte(bucketEvents)).Get(seqKey(e.seq))
	if e.seq == 0 || e.recent && v == nil { // it has just been deleted
		return 0, nil, fmt.Errorf("looking for event %q: %w", id, queue.ErrNotFound)
	}
	r, err := decodeRecord(v)
	if err != nil {
		return 0, nil, fmt.Errorf("looking for event %q: %w: its record is damaged", id, queue.ErrUnreadable)
	}
	return e.seq, r, nil
}
