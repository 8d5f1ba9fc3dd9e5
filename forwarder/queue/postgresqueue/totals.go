package postgresqueue

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// totals hold the bytes of all sealed records, for MaxSize: those that were counted last,
// and what this node has changed since. What other nodes change is seen when they are
// counted again.
type totals struct {
	mu      sync.Mutex
	changed int64 // the sum of all changes by this node
	counted int64
	since   int64 // what changed was when they were counted

	at   time.Time     // when the store was counted last
	took time.Duration // how long that took
	last counts
}

func (t *totals) add(n int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.changed += n
}

func (t *totals) bytes() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.counted + t.changed - t.since
}

// set records a count that began when changed was since. It reports whether the bytes are
// less than was known.
func (t *totals) set(c counts, since int64, took time.Duration) (less bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	before := t.counted + since - t.since
	t.counted, t.since, t.at, t.took, t.last = c.Bytes(), since, time.Now(), took, c
	return t.counted < before
}

const (
	// large is how many rows a store has that is not counted for each call of Stats.
	large = 20_000

	// countShare is the inverse of the part of the time in which a node counts such a store.
	countShare = 20

	// slow is how long a count takes at least that no call of Stats waits for.
	slow = 500 * time.Millisecond

	// firstCount is how long a start waits for the first count.
	firstCount = time.Second
)

// recent returns the last counts, if counting again so soon would cost too much.
func (t *totals) recent() (c counts, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last, t.last.rows > large && (t.took > slow || time.Since(t.at) < countShare*t.took)
}

// stale reports whether the store is to be counted again in the background: the share of the
// time allows it, and it was not counted yet or takes too long for Stats.
func (t *totals) stale() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.at.IsZero() || t.took > slow && time.Since(t.at) >= countShare*t.took
}

// counts are what a count of the store found.
type counts struct {
	policy.Counts
	leased map[string]int64 // deliveries that other nodes have leased, by upstream
	oldest map[string]int64 // when the oldest pending event was received, by upstream
	nodes  []queue.Node
	rows   int64

	standbys []queue.Standby
}

// These are the statements that count.
const (
	countDeliveries = `
		SELECT g.upstream, g.state, g.n, g.leased, coalesce(e.received_at, 0) FROM (
			SELECT d.upstream, d.state, count(*) AS n, count(*) FILTER (WHERE d.node <> $1) AS leased, min(d.seq) AS first
			FROM scribegate.delivery d WHERE d.state <> 2 GROUP BY d.upstream, d.state) g
		LEFT JOIN scribegate.event e ON e.seq = g.first ORDER BY g.upstream, g.first`
	countKeys     = `SELECT e.key, count(*), sum(e.size)::bigint FROM scribegate.event e WHERE e.size > 0 GROUP BY e.key`
	countSetAside = `SELECT e.state, count(*) FROM scribegate.event e WHERE e.state BETWEEN 3 AND 5 GROUP BY e.state`
	selectNodes   = `
		SELECT n.name, n.seen, (SELECT count(*) FROM scribegate.delivery d WHERE d.node = n.id), n.id = $1 FROM scribegate.node n ORDER BY n.name, n.id`
)

// count counts the content of the store.
func (q *Queue) count(ctx context.Context) (counts, error) {
	began := time.Now()
	q.totals.mu.Lock()
	since := q.totals.changed
	q.totals.mu.Unlock()
	c := counts{Counts: make(policy.Counts), leased: make(map[string]int64), oldest: make(map[string]int64)}
	b := &pgx.Batch{}
	b.Queue(beginSnapshot)
	b.Queue(q.in(countDeliveries), q.node.Load()).Query(c.scanDeliveries)
	b.Queue(q.in(countKeys)).Query(c.scanKeys)
	b.Queue(q.in(countSetAside)).Query(c.scanSetAside)
	b.Queue(q.in(selectNodes), q.node.Load()).Query(c.scanNodes)
	b.Queue(selectStandbys).Query(c.scanStandbys)
	q.queueUnreadable(b)
	b.Queue(`COMMIT`)
	if err := q.pool.SendBatch(ctx, b).Close(); err != nil {
		return c, err
	}
	if q.totals.set(c, since, time.Since(began)) { // another node has made room
		q.writer.RetryFull()
	}
	q.countForeign(c.Counts)
	return c, nil
}

// queueUnreadable queues a statement that finds out which of the events that could not be
// opened are still there.
func (q *Queue) queueUnreadable(b *pgx.Batch) {
	left := make(map[int64]bool)
	q.unreadable.Range(func(seq, _ any) bool {
		left[seq.(int64)] = true
		return true
	})
	if len(left) == 0 {
		return
	}
	b.Queue(q.in(`SELECT e.seq FROM scribegate.event e WHERE e.seq = ANY($1) AND e.size > 0`), slices.Collect(maps.Keys(left))).Query(func(rows pgx.Rows) error {
		there, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		for _, seq := range there {
			delete(left, seq)
		}
		if err == nil {
			for seq := range left {
				q.unreadable.Delete(seq)
			}
		}
		return err
	})
}

func (c *counts) scanDeliveries(rows pgx.Rows) error {
	kinds := map[int16]string{tables.DeliveryFirst: policy.CountFirst, tables.DeliveryRetry: policy.CountRetry, tables.DeliveryDead: policy.CountDead, tables.DeliveryBlocked: policy.CountBlocked}
	for rows.Next() {
		var name string
		var state int16
		var n, leased, oldest int64
		if err := rows.Scan(&name, &state, &n, &leased, &oldest); err != nil {
			return err
		}
		c.rows += n
		c.Counts[policy.Counter{Kind: kinds[state], Name: name}] = n
		if state == tables.DeliveryDead || state == tables.DeliveryBlocked && queue.IsStage(name) {
			continue
		}
		c.leased[name] += leased
		if c.oldest[name] == 0 { // the rows are in order of arrival
			c.oldest[name] = oldest
		}
	}
	return rows.Err()
}

func (c *counts) scanKeys(rows pgx.Rows) error {
	for rows.Next() {
		var key, n, size int64
		if err := rows.Scan(&key, &n, &size); err != nil {
			return err
		}
		c.rows += n
		f := tables.Fingerprint(key)
		c.Counts[policy.Counter{Kind: policy.CountKey, Name: string(f[:])}] = n
		c.Counts[policy.Counter{Kind: policy.CountBytes}] += size
	}
	return rows.Err()
}

func (c *counts) scanSetAside(rows pgx.Rows) error {
	for rows.Next() {
		var state int16
		var n int64
		if err := rows.Scan(&state, &n); err != nil {
			return err
		}
		c.Counts[policy.Counter{Kind: policy.CountState, Name: string(tables.SetAsideOf(state))}] = n
	}
	return rows.Err()
}

// Stats implements queue.Queue. In a large store they can be a few seconds old.
func (q *Queue) Stats() (queue.Stats, error) {
	c, err := q.counted()
	if err != nil {
		return queue.Stats{}, err
	}
	s := c.Counts.Stats()
	s.MaxBytes = q.settings.Load().MaxSize
	q.unreadable.Range(func(any, any) bool {
		s.Unreadable++
		return true
	})
	for _, names := range []map[string]queue.UpstreamStats{s.Upstreams, s.Stages} {
		for name, u := range names {
			u.InFlight = min(int64(q.leases.Of(name).Count())+c.leased[name], u.Pending)
			u.OldestPending = policy.Time(c.oldest[name])
			names[name] = u
		}
	}
	return s, nil
}

// The intervals in which the bytes are counted that other nodes have stored, if they are
// limited.
const (
	countEvery     = time.Minute
	countEveryNear = 5 * time.Second // while the store is nearly full
)

// countFirst counts the store at the start. A large store is counted in the background later:
// until then, only the records that this node stores count for MaxSize.
func (q *Queue) countFirst(ctx context.Context) error {
	first, cancel := context.WithTimeout(ctx, firstCount)
	defer cancel()
	_, err := q.count(first)
	if ctx.Err() == nil && first.Err() != nil {
		return nil
	}
	return err
}

// recount counts the store if its size is limited and was not counted for long, or if that
// takes too long for Stats.
func (q *Queue) recount() {
	if q.totals.stale() {
		ctx, cancel := context.WithTimeout(q.ctx, countTimeout)
		defer cancel()
		_, _ = q.count(ctx) // it is tried again
		return
	}
	limit := q.settings.Load().MaxSize
	q.totals.mu.Lock()
	age := time.Since(q.totals.at)
	q.totals.mu.Unlock()
	near := q.totals.bytes() > limit/4*3
	if _, ok := q.totals.recent(); ok || limit == 0 || age < countEveryNear || !near && age < countEvery {
		return
	}
	_, _ = q.counted() // it is tried again
}

// counted returns counts that are not older than they must be.
func (q *Queue) counted() (counts, error) {
	if err := q.usable(); err != nil {
		return counts{}, err
	}
	if c, ok := q.totals.recent(); ok {
		return c, nil
	}
	ctx, end, err := q.reading(q.ctx)
	if err != nil {
		return counts{}, err
	}
	defer end()
	c, err := q.count(ctx)
	return c, q.readError(err)
}
