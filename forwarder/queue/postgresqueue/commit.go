package postgresqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/partition"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// conflictTries is how often a transaction is tried that other nodes' changes make fail.
const conflictTries = 10

// Commit implements policy.Commits.
func (q *Queue) Commit(b *policy.Batch) (err error) {
	start := time.Now()
	for range conflictTries {
		if err = q.commitBatch(b); !conflicts(err) {
			break
		}
	}
	switch {
	case err == nil:
		if q.options.OnCommit != nil {
			q.options.OnCommit(time.Since(start), len(b.Outcomes)+len(b.Stores))
		}
		return nil
	case rejectsSelection(err):
		return err
	}
	return fmt.Errorf("writing to the database: %w", q.explain(err))
}

// conflicts reports whether an error is due to another node's transaction, so that the same
// transaction may succeed now.
func conflicts(err error) bool {
	if errors.Is(err, errChanged) {
		return true
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "40001" || e.Code == "40P01" || e.Code == "23505") // serialization, deadlock, unique
}

// rejectsSelection reports whether an error is about the selected events, and not about
// the database.
func rejectsSelection(err error) bool {
	return errors.Is(err, queue.ErrNotFound) || errors.Is(err, queue.ErrNoPayload) || errors.Is(err, queue.ErrPending) ||
		errors.Is(err, queue.ErrInvalid) || errors.Is(err, queue.ErrUnrouted) || errors.Is(err, queue.ErrUnreadable)
}

func (q *Queue) commitBatch(b *policy.Batch) error {
	if b.Task != nil && b.Task.Do == nil {
		return nil
	}
	return q.transact(func(t *tx) error {
		if b.Task != nil {
			return b.Task.Do(t)
		}
		return t.apply(b)
	}, b.Stores)
}

// transact makes changes in one transaction. If the answer to the commit is lost, the
// stores keep the seqs under which they may be in the store.
func (q *Queue) transact(change func(*tx) error, stores []*policy.Store) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(q.ctx), commitTimeout)
	defer cancel()
	if err := q.connectWriter(ctx); err != nil {
		return err
	}
	t := q.newTx(ctx)
	unknown := false
	err := change(t)
	if err != nil {
		t.rollback()
	} else {
		if t.age-q.lastUsedAt() > int64(time.Minute) {
			t.changes.UsedAt = t.age
		}
		unknown, err = t.commit()
		if partition.Lacking(err) {
			err = q.createFor(ctx, &t.changes)
		}
	}
	if unknown {
		for _, d := range t.ahead { // the caller may not wait for the next try
			q.leases.Of(d.upstream).Doubt(d.seq)
		}
	}
	for _, s := range stores {
		if s.Duplicate || s.Full || err != nil && !unknown && t.fresh[s] {
			s.Seq = 0
		}
	}
	if err == nil && t.changes.UsedAt > 0 {
		q.begun.Lock()
		q.usedAt = max(q.usedAt, t.changes.UsedAt)
		q.begun.Unlock()
	}
	return err
}

func (q *Queue) lastUsedAt() int64 {
	q.begun.Lock()
	defer q.begun.Unlock()
	return q.usedAt
}

// connectWriter connects the writer if it is not connected.
func (q *Queue) connectWriter(ctx context.Context) error {
	if err := q.Unavailable(); err != nil {
		return err
	}
	if q.readOnly.Swap(false) || q.writing != nil && q.writing.IsClosed() {
		q.disconnect()
	}
	if q.writing != nil {
		return nil
	}
	config := q.dsn.Load().Copy()
	config.OnNotice = func(*pgconn.PgConn, *pgconn.Notice) { q.warned.Store(true) }
	c, err := pgx.ConnectConfig(ctx, config)
	if err == nil {
		sizedBytes(c.TypeMap())
		q.writing = c
	}
	return err
}

// apply makes the changes of a batch.
func (t *tx) apply(b *policy.Batch) error {
	seqs := make([]int64, 0, len(b.Outcomes))
	for _, o := range b.Outcomes {
		seqs = append(seqs, seqOf(o.Delivery))
	}
	slices.Sort(seqs)
	s := newStoring(t, b.Stores)
	batch := t.batch()
	if len(seqs) > 0 {
		t.queueLock(batch, slices.Compact(seqs))
	}
	s.queueInsert(batch)
	if err := t.send(batch); err != nil {
		return err
	}
	for _, o := range b.Outcomes {
		if err := t.settle(o); err != nil {
			return err
		}
	}
	t.changes.Probe = b.Probe
	return s.store()
}

// Known implements policy.Commits. A store that may be durable since the answer to its
// commit was lost is looked up by the next commit. The look-up locks the event, since only the
// commit of a transaction that has locked or changed something waits for the standby: the
// event may be visible before it is there, if the wait of its own commit was cancelled.
func (q *Queue) Known(s *policy.Store) bool {
	if s.Seq != 0 {
		return false
	}
	var known map[string]*tables.Record
	err := q.transact(func(t *tx) (err error) {
		known, err = t.lockIDs([]string{s.Event.ID})
		return err
	}, nil)
	k := known[s.Event.ID]
	if err != nil || k == nil {
		return false
	}
	age, _ := q.ages()
	return s.DuplicateOf(&k.Event, age, *q.settings.Load())
}

// Lost implements policy.Commits. It is never called: no outcome is lost to damage.
func (q *Queue) Lost(o *policy.Outcome, _ error) { q.unreadable.Store(seqOf(o.Delivery), struct{}{}) }

// NoRoom implements policy.Commits. It is never called: a full disk fails all changes, and
// they are tried again.
func (q *Queue) NoRoom(o *policy.Outcome) *policy.Outcome { return o }

// Relieved implements policy.Commits.
func (q *Queue) Relieved(upstream string) { q.wakeUp(upstream) }

// Failed implements policy.Commits.
func (q *Queue) Failed(err error) {
	if err != nil {
		q.writer.Failing()
	}
	if q.options.OnFailure != nil {
		q.options.OnFailure(err)
	}
}

// do makes a change in a transaction of its own.
func (q *Queue) do(ctx context.Context, change func(t *tx) error) error {
	return q.writer.Do(ctx, func(t any) error { return change(t.(*tx)) })
}
