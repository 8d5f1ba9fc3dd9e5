package postgresqueue

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier/event"
)

// Event implements queue.Queue.
func (q *Queue) Event(ctx context.Context, id string) (queue.Record, error) {
	r, err := q.find(ctx, id)
	if err != nil {
		return queue.Record{}, err
	}
	return r.Record(), nil
}

// isBuried reports whether only the id of an event is kept.
func isBuried(r *tables.Record) bool { return r.SetAside == policy.Tombstone }

func notFound(id string) error { return fmt.Errorf("event %s: %w", id, queue.ErrNotFound) }

// find returns the event with the id, or ErrNotFound.
func (q *Queue) find(ctx context.Context, id string) (*tables.Record, error) {
	if err := q.usable(); err != nil {
		return nil, err
	}
	ctx, cancel, err := q.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	known, err := q.known(ctx, q.pool, []string{id})
	if err != nil {
		return nil, fmt.Errorf("looking for event %s: %w", id, q.readError(err))
	}
	if r := known[id]; r != nil && !isBuried(r) {
		return r, nil
	}
	return nil, notFound(id)
}

// Payload implements queue.Queue.
func (q *Queue) Payload(ctx context.Context, id string) (*event.Event, error) {
	r, err := q.find(ctx, id)
	if err != nil {
		return nil, err
	}
	ctx, cancel, err := q.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer cancel()
	var sealed []byte
	if r.Size > 0 {
		err = q.pool.QueryRow(ctx, q.in(selectPayload), r.Seq).Scan(&sealed)
	}
	switch {
	case r.Size == 0, errors.Is(err, pgx.ErrNoRows): // deleted meanwhile
		return nil, fmt.Errorf("reading event %s: %w", id, queue.ErrNoPayload)
	case err != nil:
		return nil, fmt.Errorf("reading event %s: %w", id, q.readError(err))
	}
	return q.open(r.Seq, id, sealed)
}

// reading begins a call that reads, and returns its context, which ends with the queue too.
// It waits while too many others read. The caller must call end.
func (q *Queue) reading(ctx context.Context) (_ context.Context, end func(), err error) {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	stop := context.AfterFunc(q.ctx, cancel)
	select {
	case q.readings <- struct{}{}:
	case <-ctx.Done():
		stop()
		cancel()
		return nil, nil, fmt.Errorf("waiting for a connection to the database: %w", q.readError(ctx.Err()))
	}
	return ctx, func() {
		<-q.readings
		stop()
		cancel()
	}, nil
}

// readError returns the error of a call that reads.
func (q *Queue) readError(err error) error {
	if err != nil && q.ctx.Err() != nil {
		return queue.ErrClosed
	}
	return q.explain(err)
}

// Load implements queue.Queue. It returns an event that this node has just stored from
// memory.
func (q *Queue) Load(d queue.Delivery) (*event.Event, error) {
	if queue.IsCleanup(d.Upstream) {
		return nil, fmt.Errorf("loading event %s: %w", d.EventID, queue.ErrNoPayload)
	}
	if e := q.recent.Get(seqOf(d)); e != nil {
		return e, nil
	}
	ctx, cancel := context.WithTimeout(q.ctx, claimTimeout)
	defer cancel()
	var sealed []byte
	var state int16
	var attempts int
	var leasedBy *int64
	err := q.pool.QueryRow(ctx, q.in(`
		SELECT p.sealed, d.state, d.attempts, d.node FROM scribegate.delivery d LEFT JOIN scribegate.payload p ON p.seq = $1 AND p.slot IN ($1, 0)
		WHERE d.seq = $1 AND d.upstream = $2`), seqOf(d), d.Upstream).Scan(&sealed, &state, &attempts, &leasedBy)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, fmt.Errorf("loading event %s: %w: it has been purged, or another node has delivered it", d.EventID, queue.ErrNotFound)
	case q.ctx.Err() != nil:
		return nil, queue.ErrClosed
	case err != nil:
		return nil, fmt.Errorf("loading event %s: %w", d.EventID, q.explain(err))
	case tables.DeliveryStates[state] != queue.Pending || attempts != d.Attempts || q.leasedElsewhere(d, leasedBy):
		return nil, fmt.Errorf("loading event %s: %w", d.EventID, errTakenOver)
	}
	e, err := q.open(seqOf(d), d.EventID, sealed)
	if errors.Is(err, seal.ErrUnknownKey) { // another node has resealed it, and delivers it
		return nil, fmt.Errorf("loading event %s: %w; put it last in encryption_key of this gateway", d.EventID, seal.ErrUnknownKey)
	}
	return e, err
}

// errTakenOver means that this node has lost the lease of a delivery.
var errTakenOver = errors.New("another node has taken the delivery over, since this one did not renew its leases in time")

// leasedElsewhere reports whether another node leases a delivery.
func (q *Queue) leasedElsewhere(d queue.Delivery, leasedBy *int64) bool {
	if leasedBy == nil || *leasedBy == q.node.Load() {
		return false
	}
	node, held := q.leases.Of(d.Upstream).Holder(seqOf(d))
	return !held || node != *leasedBy
}

// open opens a sealed payload, and counts an event that cannot be opened. One that is sealed
// with the key of another node is none.
func (q *Queue) open(seq int64, id string, sealed []byte) (*event.Event, error) {
	e, err := policy.OpenEvent(q.ring.Load(), id, sealed)
	if err != nil && !errors.Is(err, seal.ErrUnknownKey) {
		q.unreadable.Store(seq, struct{}{})
	}
	return e, err
}
