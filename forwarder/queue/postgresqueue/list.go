package postgresqueue

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// Events implements queue.Queue. One statement returns the seqs of a superset of the
// events, by an index; the records are compared with the filter.
func (q *Queue) Events(ctx context.Context, f queue.Filter) (page queue.Page, err error) {
	if err := q.usable(); err != nil {
		return page, err
	}
	if f.Limit < 1 {
		return page, fmt.Errorf("%w: the limit is below 1", queue.ErrInvalid)
	}
	if f.State != "" && !slices.Contains(queue.States, f.State) {
		return page, fmt.Errorf("%w: state %q is unknown", queue.ErrInvalid, f.State)
	}
	before := int64(math.MaxInt64)
	if f.Cursor != "" {
		if before, err = strconv.ParseInt(f.Cursor, 10, 64); err != nil || before < 1 {
			return page, fmt.Errorf("%w: the cursor is not valid", queue.ErrInvalid)
		}
	}
	ctx, end, err := q.reading(ctx)
	if err != nil {
		return page, err
	}
	defer end()
	l := listing{q: q, f: f, before: before, limit: min(f.Limit+1, 1000)}
	l.horizon = max(q.horizon(), policy.Nanos(f.Since.Add(-slack)))
	l.text, l.args = source(f, l.horizon)
	err = pgx.BeginTxFunc(ctx, q.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(t pgx.Tx) error {
		page, err = l.page(ctx, t)
		return err
	})
	if err != nil {
		return page, fmt.Errorf("listing events: %w", q.readError(err))
	}
	return page, nil
}

// A listing is one call of Events.
type listing struct {
	q       *Queue
	f       queue.Filter
	before  int64
	limit   int
	horizon int64 // the listed traces have ended later
	text    string
	args    []any
}

func (l *listing) page(ctx context.Context, t pgx.Tx) (page queue.Page, err error) {
	last := int64(0)
	for {
		seqs, records, err := l.more(ctx, t)
		if err != nil {
			return page, err
		}
		for _, seq := range seqs {
			l.before = seq
			r := records[seq]
			if r == nil || !l.matches(r) {
				continue
			}
			if len(page.Records) == l.f.Limit {
				page.Next = strconv.FormatInt(last, 10)
				return page, nil
			}
			page.Records = append(page.Records, r.Record())
			last = seq
		}
		if len(seqs) < l.limit {
			return page, nil
		}
	}
}

// more returns the next events, newest first.
func (l *listing) more(ctx context.Context, t pgx.Tx) (seqs []int64, records map[int64]*tables.Record, err error) {
	rows, err := t.Query(ctx, l.q.in(l.text), append([]any{l.before, seqSince(l.f.Since), l.limit}, l.args...)...)
	if err != nil {
		return nil, nil, err
	}
	seqs, err = pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil || len(seqs) == 0 {
		return nil, nil, err
	}
	records = make(map[int64]*tables.Record)
	b := &pgx.Batch{}
	l.q.queueLoad(b, tables.SelectEvents, seqs, records)
	l.q.queueTraces(b, records, tables.SelectTraces, seqs, l.horizon)
	l.q.queueDeliveries(b, tables.SelectDeliveries, seqs, records)
	return seqs, records, t.SendBatch(ctx, b).Close()
}

func (l *listing) matches(r *tables.Record) bool {
	f := &l.f
	return r.Matches(f.State, f.Upstream) && (f.Subject == "" || r.Subject == f.Subject) &&
		(f.Type == "" || r.Type == f.Type) && r.ReceivedAt >= policy.Nanos(f.Since)
}

// The statements that list seqs, newest first, below $1 and not below $2, at most $3.
const (
	listEvents = `SELECT e.seq FROM scribegate.event e WHERE e.seq < $1 AND e.seq >= $2`
	listTraces = `SELECT e.seq FROM scribegate.history e WHERE e.seq < $1 AND e.seq >= $2 AND e.ended_at > $4`
	newest     = ` ORDER BY seq DESC LIMIT $3`

	// listOpen lists the events with a delivery in one of the states to one of the upstreams
	// that have such deliveries.
	listOpen = `
		WITH RECURSIVE name AS (
			SELECT min(upstream) AS n FROM scribegate.delivery WHERE state <> 2
			UNION ALL
			SELECT (SELECT min(d.upstream) FROM scribegate.delivery d WHERE d.state <> 2 AND d.upstream > name.n) FROM name WHERE name.n IS NOT NULL)
		SELECT DISTINCT e.seq FROM name
		CROSS JOIN unnest($4::smallint[]) s(state)
		CROSS JOIN LATERAL (
			SELECT d.seq FROM scribegate.delivery d
			WHERE d.upstream = name.n AND d.state = s.state AND d.state <> 2 AND d.seq < $1 AND d.seq >= $2 ORDER BY d.seq DESC LIMIT $3) e
		WHERE name.n IS NOT NULL AND ($5 = '' OR name.n = $5)` + newest
)

// source returns the statement that lists a superset of the events of a filter and of the
// traces that have ended after the horizon, and its arguments from $4 on.
func source(f queue.Filter, horizon int64) (text string, args []any) {
	switch {
	case f.State.SetAside() && f.Subject == "":
		return listEvents + ` AND e.state = $4 AND e.state BETWEEN 3 AND 5` + newest, []any{tables.SetAsideCodes[f.State]}
	case f.State == queue.Pending && f.Subject == "":
		return listOpen, []any{tables.PendingCodes, f.Upstream}
	case f.State == queue.Dead && f.Subject == "":
		return listOpen, []any{[]int16{tables.DeliveryDead}, f.Upstream}
	}
	args = append(args, horizon)
	arg := func(value any) string {
		args = append(args, value)
		return `$` + strconv.Itoa(3+len(args))
	}
	condition, ofEvents, ofTraces := "", "", ""
	if f.Subject != "" {
		condition += ` AND e.subject = ` + arg(f.Subject) + ` AND e.subject <> ''`
	}
	if f.Type != "" && f.Subject == "" {
		condition += ` AND e.type = ` + arg(f.Type)
		if f.Type != "note.generated" && f.Type != "transcription.completed" {
			condition += ` AND e.type NOT IN ('note.generated', 'transcription.completed')` // as in the definition of the index
		}
	}
	if f.Upstream != "" && f.Subject == "" {
		ofEvents = ` AND EXISTS (SELECT FROM scribegate.delivery d WHERE d.seq = e.seq AND d.upstream = ` + arg(f.Upstream) + `)`
		ofTraces = ` AND position(` + arg(policy.AppendUpstream(nil, f.Upstream)) + `::bytea IN e.deliveries) > 0`
	}
	return `(` + listEvents + condition + ofEvents + newest + `) UNION ALL (` + listTraces + condition + ofTraces + newest + `)` + newest, args
}
