package postgresqueue

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/lease"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// settled is the time after which no node commits an event that it began to store before.
const settled = 30 * time.Second

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
	c := claim{q: q, lease: q.leases.Of(upstream), now: policy.Nanos(q.toDatabase(now)), node: q.node.Load()}
	c.lease.Claiming.Lock()
	defer c.lease.Claiming.Unlock()
	c.lease.Used()
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
	lease   *lease.Lease
	now     int64
	node    int64
	claimed []queue.Delivery
}

func (c *claim) claim(ctx context.Context, want queue.Want) (next int64, err error) {
	for first := want.First; first > 0; {
		taken := c.lease.Take(first, c.node)
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

// The statements that claim deliveries. They lease rows that nobody has locked.
const (
	leaseRows = `
		UPDATE scribegate.delivery d SET node = $2 FROM picked p JOIN scribegate.event e ON e.seq = p.seq
		WHERE d.seq = p.seq AND d.upstream = $1 RETURNING ` + tables.EventColumns + `, ` + tables.DeliveryColumns
	leaseFirstRows = `
		WITH picked AS MATERIALIZED (
			SELECT d.seq FROM scribegate.delivery d
			WHERE d.upstream = $1 AND d.state = 0 AND d.node IS NULL AND d.seq >= $3` + openable + ` ORDER BY d.seq LIMIT $4 FOR UPDATE OF d SKIP LOCKED)` + leaseRows
	leaseRetryRows = `
		WITH picked AS MATERIALIZED (
			SELECT d.seq FROM scribegate.delivery d
			WHERE d.upstream = $1 AND d.state = 1 AND d.node IS NULL AND d.due <= $3` + openable + ` ORDER BY d.due, d.seq LIMIT $4 FOR UPDATE OF d SKIP LOCKED)` + leaseRows
	nextRetry = `
		SELECT d.due FROM scribegate.delivery d
		WHERE d.upstream = $1 AND d.state = 1 AND d.node IS NULL AND d.due > $2` + openable + ` ORDER BY d.due LIMIT 1`

	// openable stands for the condition that this node can open the payload. Events that are
	// sealed with a key that it does not have are for other nodes.
	openable = `/* openable */`
	freeRows = `UPDATE scribegate.delivery SET node = NULL WHERE node = $1 AND upstream = $2 AND seq = ANY($3)`
)

// openable returns a statement of those that claim. It has the condition only while there is
// an event that this node cannot open.
func (q *Queue) openable(text string) string {
	condition := ""
	if q.foreign.Load() != 0 {
		numbers := make([]string, 0, len(q.keys()))
		for _, n := range q.keys() {
			numbers = append(numbers, strconv.FormatInt(n, 10))
		}
		condition = ` AND EXISTS (SELECT FROM scribegate.event k WHERE k.seq = d.seq AND (k.size = 0 OR k.key IN (` + strings.Join(numbers, ", ") + `)))`
	}
	return q.in(strings.ReplaceAll(text, openable, condition))
}

// leaseFirst leases up to n free first deliveries, the oldest, and adds them to the ready
// ones. It reports whether the bound has changed.
func (c *claim) leaseFirst(ctx context.Context, n int) (changed bool, err error) {
	l := c.lease
	if err := c.free(ctx); err != nil {
		return false, err
	}
	bound, free := l.Bound()
	if !free {
		return false, nil
	}
	started := seqAt(c.q.now().Add(-settled)) // all events below it have been committed, or never will be
	leased, rows, err := c.lock(ctx, leaseFirstRows, bound, n)
	if err != nil {
		l.Free(bound)
		return false, err
	}
	l.Add(leased...)
	if len(rows) == n {
		l.Free(rows[n-1].Seq + 1)
	} else if bound == 0 {
		l.Exhausted(started)
	}
	return true, nil
}

// lock leases rows, and returns them and their deliveries, both in order. Of events that this
// node cannot open it returns no deliveries: another node has resealed them, and makes these.
func (c *claim) lock(ctx context.Context, text string, bound int64, n int) (leased []queue.Delivery, records []*tables.Record, err error) {
	all := make(map[int64]*tables.Record)
	b := &pgx.Batch{}
	b.Queue(`BEGIN`)
	b.Queue(`SET LOCAL synchronous_commit TO off`) // a lease that is lost costs a duplicate
	b.Queue(c.q.openable(text), c.lease.Upstream, c.node, bound, n).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			r, err := scanClaim(rows)
			if err != nil {
				return err
			}
			all[r.Seq] = r
		}
		return rows.Err()
	})
	b.Queue(`COMMIT`)
	if err := c.q.pool.SendBatch(ctx, b).Close(); err != nil {
		return nil, nil, err
	}
	for _, r := range all {
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b *tables.Record) int {
		return cmp.Or(cmp.Compare(a.Deliveries[0].Due, b.Deliveries[0].Due), cmp.Compare(a.Seq, b.Seq))
	})
	var foreign []int64
	for _, r := range records {
		if r.Size > 0 && !c.q.ring.Load().Opens(r.Key) {
			foreign = append(foreign, r.Seq)
			continue
		}
		leased = append(leased, c.q.local(r.ClaimOf(r.Seq, c.lease.Upstream)))
	}
	if len(foreign) > 0 {
		c.q.foreign.CompareAndSwap(0, -1)                                              // until they are counted
		_, _ = c.q.pool.Exec(ctx, c.q.in(freeRows), c.node, c.lease.Upstream, foreign) // else they are strays
		c.q.announceTo(c.lease.Upstream)
	}
	return leased, records, nil
}

// local returns a delivery with the times of its attempts by this node's clock, by which the
// caller compares them.
func (q *Queue) local(d queue.Delivery) queue.Delivery {
	if q.offset.Load() == 0 {
		return d
	}
	d.LastEnded = q.fromDatabase(d.LastEnded)
	d.History = slices.Clone(d.History)
	for i := range d.History {
		d.History[i].At = q.fromDatabase(d.History[i].At)
	}
	return d
}

// scanClaim returns the event in a row of eventColumns and deliveryColumns, with this
// delivery only.
func scanClaim(rows pgx.Rows) (*tables.Record, error) {
	r := &tables.Record{}
	var state, deliveryState int16
	var key, seq int64
	var node *int64
	var history []byte
	d := policy.Delivery{}
	err := rows.Scan(&r.Seq, &r.ID, &r.Provider, &r.Type, &r.Subject, &r.ReceivedAt, &state, &r.Reason, &r.EndedAt, &r.Size, &key,
		&seq, &d.Upstream, &deliveryState, &d.Due, &d.Attempts, &d.Used, &history, &node)
	if err != nil {
		return nil, err
	}
	r.Key, d.State = tables.Fingerprint(key), queue.Pending
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
	if next, known := l.KnownRetry(c.now); known {
		return next, nil
	}
	var leased []queue.Delivery
	var rows []*tables.Record
	if want > 0 {
		leased, rows, err = c.lock(ctx, leaseRetryRows, c.now, want)
	}
	if err == nil {
		next, err = c.nextRetry(ctx)
	}
	l.Retries(leased, c.node, next, err == nil && len(rows) < want) // with as many as wanted there may be more that are due
	c.claimed = append(c.claimed, leased...)
	if err != nil {
		return 0, err
	}
	return next, nil
}

// nextRetry returns when the first free retry that is not due yet is due, or 0.
func (c *claim) nextRetry(ctx context.Context) (due int64, err error) {
	err = c.q.pool.QueryRow(ctx, c.q.openable(nextRetry), c.lease.Upstream, c.now).Scan(&due)
	if err == pgx.ErrNoRows { //nolint:errorlint // it is never wrapped
		return 0, nil
	}
	return due, err
}

// free frees the released deliveries.
func (c *claim) free(ctx context.Context) error {
	seqs := c.lease.Freeing()
	if len(seqs) == 0 {
		return nil
	}
	_, err := c.q.pool.Exec(ctx, c.q.in(freeRows), c.node, c.lease.Upstream, seqs)
	c.lease.Freed(seqs, err)
	return err
}
