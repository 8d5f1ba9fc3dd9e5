package postgresqueue

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
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
	err := q.pool.QueryRow(ctx, q.in(`
		SELECT p.sealed FROM scribegate.delivery d LEFT JOIN scribegate.payload p ON p.seq = d.seq
		WHERE d.seq = $1 AND d.upstream = $2`), seqOf(d), d.Upstream).Scan(&sealed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return nil, fmt.Errorf("loading event %s: %w: it has been purged", d.EventID, queue.ErrNotFound)
	case q.ctx.Err() != nil:
		return nil, queue.ErrClosed
	case err != nil:
		return nil, fmt.Errorf("loading event %s: %w", d.EventID, q.explain(err))
	}
	return q.open(seqOf(d), d.EventID, sealed)
}

// open opens a sealed payload, and counts an event that cannot be opened.
func (q *Queue) open(seq int64, id string, sealed []byte) (*event.Event, error) {
	e, err := policy.OpenEvent(q.ring.Load(), id, sealed)
	if err != nil {
		q.unreadable.Store(seq, struct{}{})
	}
	return e, err
}
