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

// Event implements queue.Queue.
func (q *Queue) Event(ctx context.Context, id string) (queue.Record, error) {
	r, err := q.find(ctx, id)
	if err != nil {
		return queue.Record{}, err
	}
	return r.Record(), nil
}

// isBuried reports whether only the id of an event is kept.
func isBuried(r *record) bool { return r.SetAside == policy.Tombstone }

func notFound(id string) error { return fmt.Errorf("event %s: %w", id, queue.ErrNotFound) }

// find returns the event with the id, or ErrNotFound.
func (q *Queue) find(ctx context.Context, id string) (*record, error) {
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
		err = q.pool.QueryRow(ctx, q.in(selectPayload), r.seq).Scan(&sealed)
	}
	switch {
	case r.Size == 0, errors.Is(err, pgx.ErrNoRows): // deleted meanwhile
		return nil, fmt.Errorf("reading event %s: %w", id, queue.ErrNoPayload)
	case err != nil:
		return nil, fmt.Errorf("reading event %s: %w", id, q.readError(err))
	}
	return q.open(r.seq, id, sealed)
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
