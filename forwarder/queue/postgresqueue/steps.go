package postgresqueue

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// step is the maximum number of events that one transaction of a replay, a purge or a
// sweep changes, so that it does not delay stores.
const step = 200

// count returns a function that records how many rows a statement has changed.
func count(n *int64) func(pgconn.CommandTag) error {
	return func(tag pgconn.CommandTag) error {
		*n = tag.RowsAffected()
		return nil
	}
}

// The statements that select the events of a replay or a purge, oldest first.
const (
	setAsideSeqs = `SELECT e.seq FROM scribegate.event e WHERE e.state = $1 ORDER BY e.seq`
	inStateSeqs  = `
		SELECT DISTINCT d.seq FROM scribegate.delivery d
		WHERE d.state = ANY($1) AND d.state <> 2 AND ($2 = '' OR d.upstream = $2) AND left(d.upstream, 1) NOT IN ('<', '>') ORDER BY d.seq`
	withIDs      = `SELECT e.seq FROM scribegate.event e JOIN scribegate.known k ON k.seq = e.seq WHERE k.id = ANY($1) ORDER BY e.seq`
	receivedSeqs = `
		SELECT e.seq FROM scribegate.event e WHERE e.seq >= $1 AND e.received_at >= $2 AND e.state <= 2
		UNION ALL
		SELECT h.seq FROM scribegate.history h WHERE h.seq >= $1 AND h.received_at >= $2 AND h.ended_at > $3 ORDER BY 1`
)

// inState returns the statement that selects the events that are set aside in the state, or
// that have a delivery in it, and its arguments. With ids it selects those events, whatever
// their state is.
func inState(s queue.State, ids []string) (text string, args []any) {
	switch {
	case len(ids) > 0:
		return withIDs, []any{ids}
	case s.SetAside():
		return setAsideSeqs, []any{tables.SetAsideCodes[s]}
	}
	return inStateSeqs, []any{[]int16{tables.DeliveryDead}, ""}
}

// inSteps calls change with all selected events, oldest first, a few at a time, and reports
// the progress. It reads the selection before it changes the first event, which takes 8
// bytes for each. change returns how many of its events no longer exist.
func (q *Queue) inSteps(ctx context.Context, p queue.Progress, change func(t *tx, seqs []int64) (gone int, done func(), err error), text string, args ...any) error {
	seqs, err := q.seqs(ctx, text, args...)
	if err != nil {
		return err
	}
	total, done := int64(len(seqs)), int64(0)
	p.Report(0, total)
	for len(seqs) > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		some := seqs[:min(step, len(seqs))]
		seqs = seqs[len(some):]
		gone := 0
		var changed func()
		err := q.do(ctx, func(t *tx) (err error) {
			if err := t.lockAll(some); err != nil {
				return err
			}
			gone, changed, err = change(t, some)
			return err
		})
		if err != nil {
			return err
		}
		changed()
		done += int64(len(some) - gone)
		total -= int64(gone)
		p.Report(done, total)
	}
	return nil
}

// seqs returns the seqs that a statement selects.
func (q *Queue) seqs(ctx context.Context, text string, args ...any) ([]int64, error) {
	ctx, end, err := q.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	rows, err := q.pool.Query(ctx, q.in(text), args...)
	if err != nil {
		return nil, q.readError(err)
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	return seqs, q.readError(err)
}

// findAll locks and returns the events with the ids, without duplicates, or ErrNotFound.
func (t *tx) findAll(ids []string) ([]*tables.Record, error) {
	known, err := t.lockIDs(ids)
	if err != nil {
		return nil, err
	}
	var all []*tables.Record
	seen := make(map[string]bool)
	for _, id := range ids {
		if seen[id] {
			continue
		}
		seen[id] = true
		r := known[id]
		if r == nil || isBuried(r) {
			return nil, notFound(id)
		}
		all = append(all, r)
	}
	return all, nil
}
