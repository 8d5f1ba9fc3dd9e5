package postgresqueue

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// readAhead is how many first deliveries more than wanted a Claim leases.
const readAhead = 32

// Claim implements queue.Queue. First deliveries that this node has leased before, such as
// those of events that it has just stored, need no statement.
func (q *Queue) Claim(upstream string, now time.Time, want queue.Want) (queue.Claimed, error) {
	if err := q.usable(); err != nil {
		return queue.Claimed{}, err
	}
	if q.writer.Crowded(upstream) {
		return queue.Claimed{}, nil
	}
	ctx, cancel := context.WithTimeout(q.ctx, claimTimeout)
	defer cancel()
	c := claim{q: q, lease: q.leases.of(upstream), now: policy.Nanos(q.toDatabase(now)), node: q.node.Load()}
	c.lease.claiming.Lock()
	defer c.lease.claiming.Unlock()
	c.lease.mu.Lock()
	c.lease.used = time.Now()
	c.lease.mu.Unlock()
	next, err := c.claim(ctx, want)
	if err != nil && len(c.claimed) == 0 {
		if q.ctx.Err() != nil {
			return queue.Claimed{}, queue.ErrClosed
		}
		return queue.Claimed{}, fmt.Errorf("claiming deliveries for %s: %w", upstream, q.explain(err))
	}
	return queue.Claimed{Deliveries: c.claimed, Next: q.fromDatabase(policy.Time(next))}, nil
}

// A claim is one call of Claim.
type claim struct {
	q       *Queue
	lease   *lease
	now     int64
	node    int64
	claimed []queue.Delivery
}

func (c *claim) claim(ctx context.Context, want queue.Want) (next int64, err error) {
	for first := want.First; first > 0; {
		taken := c.lease.take(first, c.node)
		c.claimed = append(c.claimed, taken...)
		if first -= len(taken); first == 0 {
			break
		}
		more, err := c.leaseFirst(ctx, first+readAhead)
		if err != nil {
			return 0, err
		}
		if !more {
			break
		}
	}
	return c.claimRetries(ctx, want.Retry)
}

// claimable is the condition of a delivery d and its event e whose payload this node can
// open. Events that are sealed with a key that it does not have are for other nodes.
const claimable = `d.upstream = $1 AND d.node IS NULL AND (e.size = 0 OR e.key = ANY($2))`

// The statements that claim deliveries.
const (
	leaseRows = `
		UPDATE scribegate.delivery d SET node = $3 FROM picked p JOIN scribegate.event e ON e.seq = p.seq
		WHERE d.seq = p.seq AND d.upstream = $1 RETURNING ` + eventColumns + `, ` + deliveryColumns
	leaseFirstRows = `
		WITH picked AS MATERIALIZED (
			SELECT d.seq FROM scribegate.delivery d JOIN scribegate.event e ON e.seq = d.seq
			WHERE d.state = 0 AND d.seq >= $4 AND ` + claimable + ` ORDER BY d.seq LIMIT $5 FOR UPDATE OF d SKIP LOCKED)` + leaseRows
	leaseRetryRows = `
		WITH picked AS MATERIALIZED (
			SELECT d.seq FROM scribegate.delivery d JOIN scribegate.event e ON e.seq = d.seq
			WHERE d.state = 1 AND d.due <= $4 AND ` + claimable + ` ORDER BY d.due, d.seq LIMIT $5 FOR UPDATE OF d SKIP LOCKED)` + leaseRows
	nextRetry = `
		SELECT d.due FROM scribegate.delivery d JOIN scribegate.event e ON e.seq = d.seq
		WHERE d.state = 1 AND d.due > $3 AND ` + claimable + ` ORDER BY d.due LIMIT 1`
	freeRows = `UPDATE scribegate.delivery SET node = NULL WHERE node = $1 AND upstream = $2 AND seq = ANY($3)`
)

// leaseFirst leases up to n free first deliveries, the oldest, and adds them to the ready
// ones. It reports whether the bound has changed.
func (c *claim) leaseFirst(ctx context.Context, n int) (changed bool, err error) {
	l := c.lease
	if err := c.free(ctx); err != nil {
		return false, err
	}
	l.mu.Lock()
	bound := l.bound
	l.bound = none // what is freed from now on lowers it
	l.mu.Unlock()
	if bound == none {
		return false, nil
	}
	leased, _, err := c.lock(ctx, leaseFirstRows, bound, n)
	if err != nil {
		l.free(bound)
		return false, err
	}
	l.add(leased...)
	if len(leased) == n {
		l.free(seqOf(leased[n-1]) + 1)
	}
	return true, nil
}

// lock leases rows, and returns their deliveries in order.
func (c *claim) lock(ctx context.Context, text string, bound int64, n int) (leased []queue.Delivery, due []int64, err error) {
	all := make(map[int64]*record)
	b := &pgx.Batch{}
	b.Queue(`BEGIN`)
	b.Queue(`SET LOCAL synchronous_commit TO off`) // a lease that is lost costs a duplicate
	b.Queue(c.q.in(text), c.lease.upstream, c.q.keys(), c.node, bound, n).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			r, err := scanClaim(rows)
			if err != nil {
				return err
			}
			all[r.seq] = r
		}
		return rows.Err()
	})
	b.Queue(`COMMIT`)
	if err := c.q.pool.SendBatch(ctx, b).Close(); err != nil {
		return nil, nil, err
	}
	records := make([]*record, 0, len(all))
	for _, r := range all {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b *record) int {
		da, db := &a.Deliveries[0], &b.Deliveries[0]
		if da.Due != db.Due {
			return int(max(-1, min(1, da.Due-db.Due)))
		}
		return int(max(-1, min(1, a.seq-b.seq)))
	})
	for _, r := range records {
		leased, due = append(leased, r.ClaimOf(r.seq, c.lease.upstream)), append(due, r.Deliveries[0].Due)
	}
	return leased, due, nil
}

// scanClaim returns the event in a row of eventColumns and deliveryColumns, with this
// delivery only.
func scanClaim(rows pgx.Rows) (*record, error) {
	r := &record{}
	var state, deliveryState int16
	var key, seq int64
	var node *int64
	var history []byte
	d := policy.Delivery{}
	err := rows.Scan(&r.seq, &r.ID, &r.Provider, &r.Type, &r.Subject, &r.ReceivedAt, &state, &r.Reason, &r.EndedAt, &r.Size, &key,
		&seq, &d.Upstream, &deliveryState, &d.Due, &d.Attempts, &d.Used, &history, &node)
	if err != nil {
		return nil, err
	}
	d.State = queue.Pending
	if d.History, err = policy.DecodeHistory(history); err != nil {
		return nil, fmt.Errorf("event %s: %w", r.ID, err)
	}
	r.Deliveries = []policy.Delivery{d}
	return r, nil
}

// claimRetries claims free retries that are due, longest due first, and returns when the
// next one is due.
func (c *claim) claimRetries(ctx context.Context, want int) (next int64, err error) {
	l := c.lease
	if err := c.free(ctx); err != nil {
		return 0, err
	}
	if next, known := l.knownRetry(c.now); known {
		return next, nil
	}
	var leased []queue.Delivery
	if want > 0 {
		leased, _, err = c.lock(ctx, leaseRetryRows, c.now, want)
	}
	if err == nil {
		next, err = c.nextRetry(ctx)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range leased {
		l.hold(d, c.node)
	}
	c.claimed = append(c.claimed, leased...)
	if err != nil {
		l.retries = false
		return 0, err
	}
	if len(leased) == want { // there may be more that are due
		l.retries = false
	} else if l.retries {
		l.next = earliest(l.next, next)
	}
	return next, nil
}

// nextRetry returns when the first free retry that is not due yet is due, or 0.
func (c *claim) nextRetry(ctx context.Context) (due int64, err error) {
	err = c.q.pool.QueryRow(ctx, c.q.in(nextRetry), c.lease.upstream, c.q.keys(), c.now).Scan(&due)
	if err == pgx.ErrNoRows { //nolint:errorlint // it is never wrapped
		return 0, nil
	}
	return due, err
}

// free frees the released deliveries.
func (c *claim) free(ctx context.Context) error {
	seqs := c.lease.freeing()
	if len(seqs) == 0 {
		return nil
	}
	_, err := c.q.pool.Exec(ctx, c.q.in(freeRows), c.node, c.lease.upstream, seqs)
	c.lease.freed(seqs, err)
	return err
}
