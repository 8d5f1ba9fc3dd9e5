package postgresqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// errChanged means that another node has changed a row after it was read. The transaction
// is tried again.
var errChanged = errors.New("another node has changed the event meanwhile")

// A tx is one transaction of the writer, with the changes in memory that follow when it is
// durable. Its changes are collected, and are sent together with COMMIT.
type tx struct {
	q        *Queue
	c        *pgx.Conn
	ctx      context.Context //nolint:containedctx // of this transaction
	begun    bool
	now, age int64 // the latest and the earliest possible time
	settings queue.Settings
	node     int64 // that leases the deliveries of new events

	loaded    map[int64]*tables.Record // the events that are locked, in their present state; nil if deleted
	before    map[int64]*tables.Record // those that the transaction has changed, as they were
	payloads  map[int64][]byte         // that replace those of stored events
	changes   tables.Changes
	bytes     int64                  // the change of the bytes of sealed records
	leased    map[string]int         // how many of the new deliveries are leased in advance, by upstream
	ahead     []stray                // these deliveries
	fresh     map[*policy.Store]bool // the stores that have a new seq
	published []func()
	audit     bool     // whether the newest line of the audit trail is written in any case
	tell      []string // the upstreams that other nodes must hear of
}

// publish registers f to be called when the transaction is durable.
func (t *tx) publish(f func()) { t.published = append(t.published, f) }

func (q *Queue) newTx(ctx context.Context) *tx {
	age, now := q.ages()
	return &tx{
		q: q, c: q.writing, ctx: ctx, now: now, age: age, settings: *q.settings.Load(), node: q.node.Load(),
		loaded: make(map[int64]*tables.Record), before: make(map[int64]*tables.Record), payloads: make(map[int64][]byte), leased: make(map[string]int),
	}
}

// batch returns a batch that begins the transaction if it has not begun.
func (t *tx) batch() *pgx.Batch {
	b := &pgx.Batch{}
	if !t.begun {
		t.begun = true
		b.Queue(`BEGIN`)
		b.Queue(durable)
	}
	return b
}

// durable makes the transaction durable when COMMIT returns, and leaves a setting that is
// stricter.
const durable = `SELECT set_config('synchronous_commit', 'on', true) WHERE current_setting('synchronous_commit') NOT IN ('on', 'remote_apply')`

// send sends a batch and waits for its results.
func (t *tx) send(b *pgx.Batch) error { return t.c.SendBatch(t.ctx, b).Close() }

// lock locks events, and loads those that are not loaded.
func (t *tx) lock(seqs []int64) error {
	missing := slices.DeleteFunc(slices.Clone(seqs), func(seq int64) bool { _, known := t.loaded[seq]; return known })
	if len(missing) == 0 {
		return nil
	}
	b := t.batch()
	t.queueLock(b, missing)
	return t.send(b)
}

// queueLock queues the statements that lock events.
func (t *tx) queueLock(b *pgx.Batch, seqs []int64) {
	for _, seq := range seqs {
		t.loaded[seq] = nil // unless it is found
	}
	t.q.queueLoad(b, tables.LockEvents, seqs, t.loaded)
	t.q.queueDeliveries(b, tables.SelectDeliveries, seqs, t.loaded)
}

// load returns a locked event, which the caller must not change, or nil.
func (t *tx) load(seq int64) *tables.Record { return t.loaded[seq] }

// commit sends the changes and commits them. unknown reports whether the changes may be
// durable although there was an error, since the answer was lost.
func (t *tx) commit() (unknown bool, err error) {
	t.write()
	writes := !t.changes.Empty() || t.audit
	if !writes && !t.begun {
		t.done()
		return false, nil
	}
	if writes {
		if err := t.q.fault(beforeCommit); err != nil {
			t.rollback()
			return false, err
		}
	}
	b := t.batch()
	t.changes.Queue(b, t.q.node.Load(), t.q.in)
	var audited auditWrite
	if writes {
		audited = t.queueAudit(b)
	}
	committed := false
	b.Queue(`COMMIT`).Exec(func(tag pgconn.CommandTag) error {
		committed = tag.String() == "COMMIT"
		return nil
	})
	t.q.warned.Store(false)
	err = t.send(b)
	switch e, refused := errors.AsType[*pgconn.PgError](err); {
	case refused && e.Code == "22012": // see allChanged
		t.rollback()
		return false, errChanged
	case refused && e.SeverityUnlocalized == "ERROR":
		t.rollback()
		return false, err
	case err != nil:
		t.q.disconnect()
		return true, fmt.Errorf("the answer to a commit was lost: %w", err)
	case !committed:
		t.q.disconnect()
		return false, errors.New("the database has rolled the transaction back")
	case t.q.warned.Load(): // such as that it was not replicated
		return true, errors.New("the database has committed with a warning, maybe without waiting for its standby; see its log")
	}
	if err := t.q.fault(afterCommit); err != nil {
		t.q.disconnect()
		return true, err
	}
	t.q.audit.keep(audited)
	t.done()
	return false, nil
}

// done publishes the transaction.
func (t *tx) done() {
	t.q.totals.add(t.bytes)
	for _, f := range t.published {
		f()
	}
	t.q.announceTo(t.tell...)
	if t.bytes < 0 {
		t.q.writer.RetryFull()
	}
}

// rollback undoes the transaction.
func (t *tx) rollback() {
	if !t.begun {
		return
	}
	if _, err := t.c.Exec(t.ctx, `ROLLBACK`); err != nil {
		t.q.disconnect()
	}
}

// disconnect drops the writer's connection.
func (q *Queue) disconnect() {
	if q.writing != nil {
		go closeConn(q.writing) // which may wait for a server that does not answer
		q.writing = nil
	}
}

// explain returns an error about the database as one of package queue. It drops
// connections to a server that has become a standby.
func (q *Queue) explain(err error) error {
	e, ok := errors.AsType[*pgconn.PgError](err)
	switch {
	case err == nil || q.ctx.Err() != nil:
		return err
	case ok && e.Code == "25006": // read only
		q.pool.Reset()
		q.readOnly.Store(true)
	case ok && e.SeverityUnlocalized == "ERROR" && e.Code[:2] != "57" && e.Code[:2] != "53":
		return err
	}
	return unavailable{oneLine{err}}
}

// A oneLine is an error about a connection on one line, with advice, and without the
// repetition of hosts that were tried with TLS and without.
type oneLine struct{ error }

func (e oneLine) Error() string {
	lines := strings.Split(e.error.Error(), "\n")
	for i := range lines {
		lines[i] = strings.TrimSpace(lines[i])
	}
	return strings.Join(slices.Compact(lines), " ") + advice(e.error)
}

// Unwrap returns the error.
func (e oneLine) Unwrap() error { return e.error }
