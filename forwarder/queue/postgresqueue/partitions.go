package postgresqueue

import (
	"context"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/partition"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// newKeeper returns what creates and drops the partitions. Traces are only inserted.
func (q *Queue) newKeeper() *partition.Keeper {
	return &partition.Keeper{
		Pool: q.pool,
		History: &partition.Table{
			Schema: q.options.Schema, Name: "history", Options: `autovacuum_vacuum_insert_threshold = -1`,
			Bound: func(ms int64) int64 { return ms * int64(time.Millisecond) },
		},
		Payloads: &partition.Table{
			Schema: q.options.Schema, Name: "payload",
			Options: `autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 1, toast.autovacuum_vacuum_scale_factor = 0.02, toast.autovacuum_vacuum_cost_delay = 1`,
			Bound:   func(ms int64) int64 { return max(1, seqAt(time.UnixMilli(ms))) }, // 0 is for what was moved
		},
		In:        q.in,
		Retention: func() time.Duration { return policy.Retention(queue.Delivered, *q.settings.Load()) },
		Window:    func() time.Duration { return q.settings.Load().DedupeWindow },
		Now:       func() int64 { return policy.Nanos(q.now()) },
		Age: func() int64 {
			age, _ := q.ages()
			return age
		},
		Horizon: q.horizon,
		Begin:   q.reading,
	}
}

// keepPartitions does a part of the work on partitions from time to time, until the queue is
// closed. Each part has a goroutine of its own, since to move a backlog or to forget the ids of
// a partition can take minutes.
func (q *Queue) keepPartitions(work func(context.Context) error) {
	for q.every(q.partitions.Every()) {
		if err := work(q.ctx); err != nil && q.ctx.Err() == nil && !partition.Passing(err) && !conflicts(err) {
			q.notice(q.options.name(), "partitions of the tables could not be created or dropped, which is tried again: "+err.Error())
		}
	}
}

// createPartitions creates partitions ahead of time.
func (q *Queue) createPartitions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readTimeout)
	defer cancel()
	return q.partitions.Ahead(ctx, q.pool)
}

// createFor creates the partitions for the rows that a transaction could not insert. It
// returns an error after which the transaction is tried again.
func (q *Queue) createFor(ctx context.Context, c *tables.Changes) error {
	stored := make([]int64, 0, len(c.Payload.Seqs))
	for _, seq := range c.Payload.Seqs {
		stored = append(stored, seq>>nodeBits*1000)
	}
	if err := q.partitions.CreateFor(ctx, c.Trace.Ended, stored); err != nil {
		return err
	}
	return errChanged
}
