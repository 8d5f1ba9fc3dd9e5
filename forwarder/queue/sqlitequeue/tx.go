package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	lockedWait  = 500 * time.Millisecond // for another process that writes
	lockedPause = time.Millisecond
)

// A tx is one transaction of the writer, with the changes in memory that follow when it
// is durable.
type tx struct {
	q        *Queue
	c        *tables.Conn
	now, age int64 // the latest and the earliest possible time
	settings queue.Settings

	counts      policy.Counts // the change
	filedCounts policy.Counts // the change of the counts of filed events
	lastSeq     int64
	filed       int64                    // all events up to this seq are filed
	written     bool                     // whether there is anything to make durable
	upstreams   map[string]int64         // added by the transaction
	payloads    [][]driver.Value         // rows to insert into table payload
	ids         map[string]int64         // seqs of the events that the transaction has stored
	changed     map[int64]*tables.Record // events that the transaction has changed, in their new state; nil if deleted
	loaded      map[int64]*tables.Record // events that the transaction will change, in their present state
	freed       bool                     // whether a payload was deleted
	auditHeads  bool                     // whether the heads of the audit trail are written in any case
	published   []func()
}

// publish registers f to be called when the transaction is durable.
func (t *tx) publish(f func()) { t.published = append(t.published, f) }

// load returns the event with the seq, or nil.
func (t *tx) load(seq int64) (*tables.Record, error) {
	r, known := t.changed[seq]
	if !known {
		r = t.q.unfiled.Get(seq)
	}
	switch {
	case r != nil:
		return &tables.Record{Seq: seq, Event: *r.Clone()}, nil
	case known:
		return nil, nil
	case t.loaded[seq] != nil:
		r = t.loaded[seq]
		delete(t.loaded, seq) // the caller may change it
		return r, nil
	}
	return t.q.load(context.Background(), t.c, seq)
}

// exec executes a statement that writes.
func (t *tx) exec(text string, args ...driver.Value) error {
	t.written = true
	return t.c.Exec(text, args...)
}

// insert inserts rows.
func (t *tx) insert(into string, rows ...[]driver.Value) error {
	t.written = t.written || len(rows) > 0
	return t.c.Insert(into, rows...)
}

// change loads an event, applies a change and writes the event. It deletes the event if
// change returns false.
func (t *tx) change(seq int64, change func(r *tables.Record) (keep bool)) error {
	after, err := t.load(seq)
	if err != nil || after == nil {
		return err
	}
	before := &tables.Record{Seq: seq, Event: *after.Clone()}
	if !change(after) {
		return t.delete(before)
	}
	return t.update(before, after)
}

// begin begins a transaction.
func (q *Queue) begin() (*tx, error) {
	if err := q.usable(); err != nil {
		return nil, err
	}
	if err := q.checkFiles(); err != nil {
		return nil, err
	}
	if err := q.beginImmediate(); err != nil {
		return nil, fmt.Errorf("beginning a transaction in %s: %w", q.path, err)
	}
	age, now := q.age.Now(q.now(), q.elapsed())
	return &tx{
		q: q, c: q.writing, now: policy.Nanos(now), age: policy.Nanos(age), settings: *q.settings.Load(),
		counts: make(policy.Counts), filedCounts: make(policy.Counts), lastSeq: q.lastSeq, filed: q.filed, upstreams: make(map[string]int64), ids: make(map[string]int64), changed: make(map[int64]*tables.Record),
	}, nil
}

// beginImmediate waits briefly if another process writes, such as a program that
// replicates the store.
func (q *Queue) beginImmediate() error {
	for end := time.Now().Add(lockedWait); ; time.Sleep(lockedPause) {
		err := q.writing.Exec(`BEGIN IMMEDIATE`)
		if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(end) {
			return err
		}
	}
}

// commit makes the transaction durable and publishes it. An error undoes the whole
// transaction. A transaction that only changes unfiled events changes only memory.
func (q *Queue) commit(t *tx) error {
	filedCounts, id := q.filedCounts, q.identity
	var heads []queue.AuditHead
	err := q.fault(beforeCommit)
	if len(t.filedCounts) > 0 || t.filed > q.filed || t.age-q.usedAt > int64(time.Minute) || t.auditHeads {
		heads = q.heads.current()
		filedCounts = filedCounts.Plus(t.filedCounts)
		id = id.Next()
		if err == nil {
			t.written = true
			err = tables.WriteCounts(t.c, id, t.age, t.filed, filedCounts, heads)
		}
	}
	if err == nil && t.written && q.unmarked {
		if id == q.identity {
			id = id.Next()
		}
		err = tables.WriteInUse(t.c, id, q.path)
	}
	if err == nil && t.written {
		for name, id := range t.upstreams { // readers may see its rows before COMMIT returns
			q.upstreams.Expect(id, name)
		}
		err = t.c.Exec(`COMMIT`)
	}
	if err != nil {
		q.rollback()
		if t.filed > q.filed {
			q.unfiled.Postpone(refileAfter)
		}
		return fmt.Errorf("writing to %s: %w", q.path, q.makeRoom(err))
	}
	if id != q.identity && heads != nil {
		q.heads.keep(heads)
	}
	q.identity = id
	if t.written {
		q.unmarked = false
		q.files.Committed()
		if err := q.checkFiles(); err != nil {
			return err
		}
	} else {
		q.rollback()
	}
	counts := q.counts().Plus(t.counts)
	q.current.Store(&counts)
	q.filedCounts, q.lastSeq, q.filed, q.usedAt = filedCounts, t.lastSeq, t.filed, max(q.usedAt, t.age)
	q.freed = q.freed || t.freed
	for _, f := range t.published {
		f()
	}
	if t.counts.Bytes() < 0 {
		q.writer.RetryFull()
	}
	return nil
}

// rollback undoes a transaction. After some errors SQLite has already rolled back; the
// error of the second rollback can be ignored.
func (q *Queue) rollback() { _ = q.writing.Exec(`ROLLBACK`) }

// load returns the event with the seq, nil if it does not exist, or policy.ErrDamaged
// if it is unreadable.
func (q *Queue) load(ctx context.Context, c *tables.Conn, seq int64) (*tables.Record, error) {
	if r := q.unfiled.Get(seq); r != nil {
		return r, nil
	}
	return tables.Load(ctx, c, q.upstreams, seq)
}
