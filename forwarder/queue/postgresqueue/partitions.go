package postgresqueue

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/partition"
)

const (
	// partitionsOf is the number of partitions in the time for which traces are kept.
	partitionsOf = 16

	minWidth = time.Minute

	// partitionsEvery is how often at least to look for partitions to create and to drop.
	partitionsEvery = time.Minute

	// fewPayloads is how many payloads are moved out of a partition as soon as its time is
	// over. With more, it is kept for as long as traces are.
	fewPayloads = 10_000

	// forgetStep is the number of ids that one transaction forgets.
	forgetStep = 1000
)

// width returns the time of a partition.
func width(s queue.Settings) time.Duration {
	return max(policy.Retention(queue.Delivered, s)/partitionsOf, minWidth).Truncate(time.Millisecond)
}

// history returns the table of traces, partitioned by the time at which they ended. Traces are
// only inserted.
func (q *Queue) history() *partition.Table {
	return &partition.Table{
		Schema: q.options.Schema, Name: "history", Options: `autovacuum_vacuum_insert_threshold = -1`,
		Bound: func(ms int64) int64 { return ms * int64(time.Millisecond) },
	}
}

// payloads returns the table of payloads, partitioned by the time at which they were stored.
func (q *Queue) payloads() *partition.Table {
	return &partition.Table{
		Schema: q.options.Schema, Name: "payload",
		Options: `autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1, toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_cost_delay = 1`,
		Bound:   func(ms int64) int64 { return ms * 1000 << nodeBits },
	}
}

// milliseconds returns a time in nanoseconds in milliseconds.
func milliseconds(nanos int64) int64 { return nanos / int64(time.Millisecond) }

// storedAt returns when an event was stored, in milliseconds.
func storedAt(seq int64) int64 { return seq >> nodeBits / 1000 }

// partition creates partitions ahead of time, and drops those whose time is over, until the
// queue is closed.
func (q *Queue) partition() {
	for q.every(min(width(*q.settings.Load())/4, partitionsEvery)) {
		ctx, cancel := context.WithTimeout(q.ctx, readTimeout)
		err := q.createPartitions(ctx, q.pool)
		cancel()
		if err == nil {
			err = q.dropPartitions(q.ctx)
		}
		if err != nil && q.ctx.Err() == nil && !passes(err) {
			q.notice(q.options.name(), "partitions of the tables could not be created or dropped, which is tried again: "+err.Error())
		}
	}
}

// passes reports whether an error is due to others who use the tables, or to another node that
// has done the same.
func passes(err error) bool {
	if errors.Is(err, partition.ErrInUse) || errors.Is(err, errSweptElsewhere) || conflicts(err) {
		return true
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "42P01" || e.Code == "55P03") // undefined table, lock not available
}

// createPartitions creates the partitions for now and for the time that follows.
func (q *Queue) createPartitions(ctx context.Context, c partition.Conn) error {
	w := width(*q.settings.Load())
	now := milliseconds(policy.Nanos(q.now()))
	for _, table := range []*partition.Table{q.history(), q.payloads()} {
		all, err := table.List(ctx, c)
		if err != nil {
			return err
		}
		var missing []int64
		for _, ms := range []int64{now, now + w.Milliseconds()} {
			if !covered(all, ms) {
				missing = append(missing, ms)
			}
		}
		if len(missing) == 0 {
			continue
		}
		if err := table.Create(ctx, c, w, missing...); err != nil {
			return err
		}
	}
	return nil
}

func covered(all []partition.Partition, ms int64) bool {
	for _, p := range all {
		if p.Covers(ms) {
			return true
		}
	}
	return false
}

// lacksPartition reports whether a row could not be inserted since there is no partition for it.
func lacksPartition(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23514" // check_violation, of which there is no other
}

// createFor creates the partitions for the rows that a transaction could not insert. It
// returns an error after which the transaction is tried again.
func (q *Queue) createFor(ctx context.Context, c *changes) error {
	var ended, stored []int64
	for _, at := range c.trace.ended {
		ended = append(ended, milliseconds(at))
	}
	for _, seq := range c.payload.seqs {
		stored = append(stored, storedAt(seq))
	}
	w := width(*q.settings.Load())
	if err := q.history().Create(ctx, q.pool, w, ended...); err != nil {
		return err
	}
	if err := q.payloads().Create(ctx, q.pool, w, stored...); err != nil {
		return err
	}
	return errChanged
}

// dropPartitions drops the partitions whose time is over.
func (q *Queue) dropPartitions(ctx context.Context) error {
	return errors.Join(q.dropTraces(ctx), q.dropPayloads(ctx))
}

// dropTraces drops the partitions of traces whose retention is over. Once a partition is
// detached, no trace can be added to it; its ids count as buried from then on.
func (q *Queue) dropTraces(ctx context.Context) error {
	all, err := q.history().List(ctx, q.pool)
	if err != nil {
		return err
	}
	for _, p := range all {
		age, _ := q.ages()
		if p.Attached {
			if p.Table.Bound(p.To) > q.horizon(age)+1 {
				continue
			}
			if err := p.Detach(ctx, q.pool); err != nil {
				return err
			}
		}
		if err := q.forgetTraces(ctx, p, age-int64(q.settings.Load().DedupeWindow)); err != nil {
			return err
		}
		if err := p.Drop(ctx, q.pool); err != nil {
			return err
		}
	}
	return nil
}

// forgetIDsOf forgets the ids of some traces, and buries those that were received within the
// dedupe window.
const forgetIDsOf = `
	WITH ended AS MATERIALIZED (SELECT h.id, h.seq FROM scribegate.partition h WHERE h.seq > $1 ORDER BY h.seq LIMIT $2),
		forgotten AS (DELETE FROM scribegate.known k USING ended e WHERE k.id = e.id AND k.seq = e.seq AND k.received_at <= $3),
		buried AS (UPDATE scribegate.known k SET buried = true FROM ended e WHERE k.id = e.id AND k.seq = e.seq AND k.received_at > $3)
	SELECT count(*), coalesce(max(seq), 0) FROM ended`

// forgetTraces forgets the ids of a partition that is detached, some at a time.
func (q *Queue) forgetTraces(ctx context.Context, p partition.Partition, window int64) error {
	for last := int64(-1); ; {
		began, n := time.Now(), 0
		err := q.sweeping(ctx, func(ctx context.Context, tx pgx.Tx) error {
			return tx.QueryRow(ctx, q.inPartition(forgetIDsOf, p), last, forgetStep, window).Scan(&n, &last)
		})
		if err != nil || n < forgetStep {
			return err
		}
		if err := sleep(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// inPartition returns a statement in which table partition stands for the partition.
func (q *Queue) inPartition(text string, p partition.Partition) string {
	return q.in(strings.ReplaceAll(text, "scribegate.partition", "scribegate."+p.Name()))
}

// dropPayloads drops the partitions of payloads whose time is over and that are empty. It moves
// what is left in one that is old, or that has few rows.
func (q *Queue) dropPayloads(ctx context.Context) error {
	all, err := q.payloads().List(ctx, q.pool)
	if err != nil {
		return err
	}
	s := *q.settings.Load()
	age, _ := q.ages()
	for _, p := range all {
		over := time.Duration(age - p.To*int64(time.Millisecond))
		if p.Attached {
			if over < width(s) {
				continue
			}
			if over < policy.Retention(queue.Delivered, s) {
				n, err := q.fewRows(ctx, p)
				if err != nil {
					return err
				}
				if n > fewPayloads {
					continue
				}
			}
			if err := q.movePayloads(ctx, p); err != nil {
				return err
			}
			if err := p.Detach(ctx, q.pool); err != nil {
				return err
			}
		}
		if err := q.dropPayload(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// fewRows counts the rows of a partition, up to fewPayloads and one more.
func (q *Queue) fewRows(ctx context.Context, p partition.Partition) (n int, err error) {
	ctx, end, err := q.reading(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	err = q.pool.QueryRow(ctx, q.inPartition(`SELECT count(*) FROM (SELECT FROM scribegate.partition ORDER BY seq LIMIT $1) p`, p), fewPayloads+1).Scan(&n)
	return n, err
}

const (
	// payloadsOf selects payloads of a partition.
	payloadsOf = `SELECT p.seq FROM scribegate.partition p WHERE p.seq > $1 ORDER BY p.seq LIMIT $2`

	// lockPayloads locks the events of payloads, as every change of a payload does.
	lockPayloads = `SELECT FROM scribegate.event e WHERE e.seq = ANY($1) ORDER BY e.seq FOR UPDATE`

	movePayloads = `UPDATE scribegate.payload p SET slot = 0 FROM unnest($1::bigint[], $1::bigint[]) r(slot, seq) WHERE p.slot = r.slot AND p.seq = r.seq`

	// rescuePayloads moves what was stored in a partition after it was found empty.
	rescuePayloads = `INSERT INTO scribegate.payload (slot, seq, sealed) SELECT 0, p.seq, p.sealed FROM scribegate.partition p ON CONFLICT DO NOTHING`
)

// movePayloads moves the payloads of a partition to the one that is never dropped.
func (q *Queue) movePayloads(ctx context.Context, p partition.Partition) error {
	for last := int64(0); ; {
		began := time.Now()
		var seqs []int64
		err := q.sweeping(ctx, func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, q.inPartition(payloadsOf, p), last, step)
			if err != nil {
				return err
			}
			if seqs, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil || len(seqs) == 0 {
				return err
			}
			if _, err := tx.Exec(ctx, q.in(lockPayloads), seqs); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, q.in(movePayloads), seqs)
			return err
		})
		if err != nil || len(seqs) == 0 {
			return err
		}
		last = seqs[len(seqs)-1]
		if err := sleep(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// dropPayload drops a partition that is detached.
func (q *Queue) dropPayload(ctx context.Context, p partition.Partition) error {
	err := q.sweeping(ctx, func(ctx context.Context, tx pgx.Tx) error {
		_, err := tx.Exec(ctx, q.inPartition(rescuePayloads, p))
		if err != nil {
			return err
		}
		_, err = tx.Exec(ctx, q.inPartition(`DROP TABLE scribegate.partition`, p))
		return err
	})
	return err
}

// errSweptElsewhere means that another node sweeps the partitions now.
var errSweptElsewhere = errors.New("another node drops partitions now")

// sweeping makes a change in a transaction of its own, unless another node does so.
func (q *Queue) sweeping(ctx context.Context, change func(context.Context, pgx.Tx) error) error {
	ctx, end, err := q.reading(ctx)
	if err != nil {
		return err
	}
	defer end()
	return pgx.BeginFunc(ctx, q.pool, func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))`, "scribegate sweep "+q.options.Schema).Scan(&mine); err != nil {
			return err
		}
		if !mine {
			return errSweptElsewhere
		}
		return change(ctx, tx)
	})
}

// sleep waits, so that a long sweep leaves the database time for others.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("sweeping: %w", ctx.Err())
	case <-time.After(d):
		return nil
	}
}
