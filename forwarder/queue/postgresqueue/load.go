package postgresqueue

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier/event"
)

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
	case deliveryStates[state] != queue.Pending || attempts != d.Attempts || q.leasedElsewhere(d, leasedBy):
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
