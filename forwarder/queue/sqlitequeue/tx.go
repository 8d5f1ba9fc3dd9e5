package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
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

// A tx is one transaction of the writer, and what is to be done in memory when it is
// durable.
type tx struct {
	q        *Queue
	c        *tables.Conn
	now, age int64 // the latest and the earliest that it may be
	settings queue.Settings

	counts      policy.Counts // the change
	filedCounts policy.Counts // the change of those of the events that are filed
	lastSeq     int64
	filed       int64                    // all events up to this one are filed
	written     bool                     // whether there is anything to be made durable
	upstreams   map[string]int64         // that the transaction has added
	payloads    [][]driver.Value         // rows of payload that are to be written
	ids         map[string]int64         // of the events that it has stored, with their seqs
	touched     map[int64]*tables.Record // the events that it has changed, as they are now; nil where deleted
	freed       bool                     // whether a payload was deleted
	published   []func()
}

// publish has f called when the transaction is durable.
func (t *tx) publish(f func()) { t.published = append(t.published, f) }

// load returns the event with the seq, or nil.
func (t *tx) load(seq int64) (*tables.Record, error) {
	r, known := t.touched[seq]
	if !known {
		r = t.q.unfiled.get(seq)
	}
	switch {
	case r != nil:
		return &tables.Record{Seq: seq, Event: *r.Clone()}, nil
	case known:
		return nil, nil
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
	t.written = true
	return t.c.Insert(into, rows...)
}

// upstream returns the number of an upstream.
func (t *tx) upstream(name string) (int64, error) {
	if id, ok := t.q.upstreams.ID(name); ok {
		return id, nil
	}
	if id, ok := t.upstreams[name]; ok {
		return id, nil
	}
	id := int64(1)
	for _, used := range slices.Concat(t.q.upstreams.IDs(), slices.Collect(maps.Values(t.upstreams))) {
		id = max(id, used+1)
	}
	if err := t.insert(`INSERT`+tables.IntoUpstream, tables.UpstreamRow(id, name)); err != nil {
		return 0, err
	}
	t.upstreams[name] = id
	t.publish(func() { t.q.upstreams.Add(id, name) })
	return id, nil
}

// add stores a new event and its payload, whose row is written with those of others.
func (t *tx) add(e *policy.Event, sealed []byte) error {
	r := &tables.Record{Seq: max(t.lastSeq+1, e.ReceivedAt/1000), Event: *e}
	t.lastSeq = r.Seq
	row, err := tables.PayloadRow(r, sealed)
	if err != nil {
		return err
	}
	t.payloads = append(t.payloads, row)
	t.addNames(r)
	t.ids[e.ID] = r.Seq
	t.counts.Add(e, 1)
	t.publish(func() { t.q.unfiled.add(r) })
	return nil
}

// update writes what a change of an event has changed.
func (t *tx) update(before, after *tables.Record) error {
	seq := after.Seq
	t.touched[seq] = after
	t.counts.Add(&before.Event, -1)
	t.counts.Add(&after.Event, 1)
	if seq > t.filed {
		t.publish(func() { t.q.unfiled.change(after) })
		return nil
	}
	t.filedCounts.Add(&before.Event, -1)
	t.filedCounts.Add(&after.Event, 1)
	if before.Subject != after.Subject {
		if err := t.deleteNames(before, after); err != nil {
			return err
		}
	}
	for i := range after.Deliveries {
		d := &after.Deliveries[i]
		was := before.Delivery(d.Upstream)
		if was != nil && was.State == d.State && was.Due == d.Due && was.Attempts == d.Attempts && len(was.History) == len(d.History) {
			continue
		}
		row, err := t.deliveryRow(seq, d)
		switch {
		case err != nil:
		case was == nil:
			err = t.insert(`INSERT`+tables.IntoDelivery, row)
		default:
			err = t.exec(tables.UpdateDelivery, row...)
		}
		if err != nil {
			return err
		}
	}
	for i := range before.Deliveries {
		if name := before.Deliveries[i].Upstream; after.Delivery(name) == nil {
			if err := t.deleteDelivery(seq, name); err != nil {
				return err
			}
		}
	}
	if text, row := tables.UpdateOfEvent(before, after); text != "" {
		if err := t.exec(text, row...); err != nil {
			return err
		}
	}
	if before.Size > 0 && after.Size == 0 {
		if err := t.deletePayload(seq); err != nil {
			return err
		}
	}
	return nil
}

// deliveryRow returns the columns of intoDelivery.
func (t *tx) deliveryRow(seq int64, d *policy.Delivery) ([]driver.Value, error) {
	upstream, err := t.upstream(d.Upstream)
	if err != nil {
		return nil, err
	}
	return tables.DeliveryRow(seq, upstream, d), nil
}

func (t *tx) deleteDelivery(seq int64, name string) error {
	upstream, err := t.upstream(name)
	if err != nil {
		return err
	}
	return t.exec(`DELETE FROM delivery WHERE seq = ? AND upstream = ?`, seq, upstream)
}

func (t *tx) deletePayload(seq int64) error {
	t.freed = true
	return t.exec(`DELETE FROM payload WHERE seq = ?`, seq)
}

// delete deletes an event, and its id is forgotten.
func (t *tx) delete(r *tables.Record) error {
	if err := t.deleteNames(r, nil); err != nil {
		return err
	}
	if err := t.deletePayload(r.Seq); err != nil {
		return err
	}
	t.touched[r.Seq] = nil
	t.counts.Add(&r.Event, -1)
	if r.Seq > t.filed {
		t.publish(func() { t.q.unfiled.remove(r.Seq) })
		return nil
	}
	t.filedCounts.Add(&r.Event, -1)
	if err := t.exec(`DELETE FROM delivery WHERE seq = ?`, r.Seq); err != nil {
		return err
	}
	return t.exec(`DELETE FROM event WHERE seq = ?`, r.Seq)
}

// change loads an event, applies a change and writes it. The event is deleted where
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
	if err := q.checkFileNow(); err != nil {
		return nil, err
	}
	if err := q.beginImmediate(); err != nil {
		return nil, fmt.Errorf("beginning a transaction in %s: %w", q.path, err)
	}
	age, now := q.age.Now(q.now(), q.elapsed())
	return &tx{
		q: q, c: q.writing, now: policy.Nanos(now), age: policy.Nanos(age), settings: *q.settings.Load(),
		counts: make(policy.Counts), filedCounts: make(policy.Counts), lastSeq: q.lastSeq, filed: q.filed, upstreams: make(map[string]int64), ids: make(map[string]int64), touched: make(map[int64]*tables.Record),
	}, nil
}

// beginImmediate waits a moment where another process writes, as one does that replicates
// the store.
func (q *Queue) beginImmediate() error {
	for end := time.Now().Add(lockedWait); ; time.Sleep(lockedPause) {
		err := q.writing.Exec(`BEGIN IMMEDIATE`)
		if e, ok := errors.AsType[*sqlite.Error](err); !ok || e.Code()&0xff != sqlite3.SQLITE_BUSY || time.Now().After(end) {
			return err
		}
	}
}

// commit makes the transaction durable and publishes it. After an error nothing of it
// remains. What concerns only events that are not filed is in memory.
func (q *Queue) commit(t *tx) error {
	filedCounts, id := q.filedCounts, q.identity
	err := q.fault(beforeCommit)
	if len(t.filedCounts) > 0 || t.filed > q.filed || t.age-q.noted > int64(time.Minute) {
		filedCounts = filedCounts.Plus(t.filedCounts)
		id = id.Next()
		if err == nil {
			t.written = true
			err = tables.WriteCounts(t.c, id, t.age, t.filed, filedCounts)
		}
	}
	if err == nil && t.written {
		for name, id := range t.upstreams { // readers may see its rows before this returns
			q.upstreams.Expect(id, name)
		}
		err = t.c.Exec(`COMMIT`)
	}
	if err != nil {
		q.rollback(t)
		if t.filed > q.filed {
			q.unfiled.failed()
		}
		return fmt.Errorf("writing to %s: %w", q.path, q.makeRoom(err))
	}
	q.changed, q.identity = q.changed || t.written, id
	q.files.committed = q.files.committed || t.written
	if !t.written {
		q.rollback(t)
	} else if err := q.checkFileNow(); err != nil {
		return err
	}
	counts := q.counts().Plus(t.counts)
	q.current.Store(&counts)
	q.filedCounts, q.lastSeq, q.filed, q.noted = filedCounts, t.lastSeq, t.filed, max(q.noted, t.age)
	q.freed = q.freed || t.freed
	for _, f := range t.published {
		f()
	}
	if t.counts.Bytes() < 0 {
		q.writer.Unpark()
	}
	return nil
}

// rollback ends a transaction of which nothing is to remain. After some errors SQLite
// has done so itself, and the error of the second time says nothing.
func (q *Queue) rollback(*tx) { _ = q.writing.Exec(`ROLLBACK`) }
