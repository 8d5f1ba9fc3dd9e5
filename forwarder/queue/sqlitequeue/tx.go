package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

const (
	lockedWait  = 500 * time.Millisecond // for another process that writes
	lockedPause = time.Millisecond
)

// A tx is one transaction of the writer, and what is to be done in memory when it is
// durable.
type tx struct {
	q        *Queue
	c        *conn
	now, age int64 // the latest and the earliest that it may be
	settings queue.Settings

	counts      policy.Counts // the change
	filedCounts policy.Counts // the change of those of the events that are filed
	lastSeq     int64
	filed       int64             // all events up to this one are filed
	written     bool              // whether there is anything to be made durable
	upstreams   map[string]int64  // that the transaction has added
	payloads    [][]driver.Value  // rows of payload that are to be written
	ids         map[string]int64  // of the events that it has stored, with their seqs
	touched     map[int64]*record // the events that it has changed, as they are now; nil where deleted
	freed       bool              // whether a payload was deleted
	published   []func()
}

// publish has f called when the transaction is durable.
func (t *tx) publish(f func()) { t.published = append(t.published, f) }

// load returns the event with the seq, or nil.
func (t *tx) load(seq int64) (*record, error) {
	r, known := t.touched[seq]
	if !known {
		r = t.q.unfiled.get(seq)
	}
	switch {
	case r != nil:
		return &record{seq: seq, Event: *r.Clone()}, nil
	case known:
		return nil, nil
	}
	return t.q.load(context.Background(), t.c, seq)
}

// exec executes a statement that writes.
func (t *tx) exec(text string, args ...driver.Value) error {
	t.written = true
	return t.c.exec(text, args...)
}

// manyRows is how many rows one statement inserts, or looks up, at most.
const manyRows = 16

// portions parts a list so that statements for 16, 8, 4, 2 and 1 of them do for all.
func portions[T any](list []T) iter.Seq[[]T] {
	return func(yield func([]T) bool) {
		for n := manyRows; len(list) > 0; {
			for n > len(list) {
				n /= 2
			}
			if !yield(list[:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// values returns n rows of parameters behind VALUES.
func values(n, columns int) string {
	row := `, (` + strings.Repeat(`?, `, columns-1) + `?)`
	return ` VALUES ` + strings.Repeat(row, n)[2:]
}

// insertRows inserts rows with as few statements as that takes: 16 rows in one cost
// a third of what they cost in 16.
func (t *tx) insertRows(into string, rows [][]driver.Value) error {
	for some := range portions(rows) {
		if err := t.exec(into+values(len(some), len(some[0])), slices.Concat(some...)...); err != nil {
			return err
		}
	}
	return nil
}

// upstream returns the number of an upstream.
func (t *tx) upstream(name string) (int64, error) {
	if id, ok := t.q.upstreams.id(name); ok {
		return id, nil
	}
	if id, ok := t.upstreams[name]; ok {
		return id, nil
	}
	id := int64(1)
	for _, used := range slices.Concat(t.q.upstreams.ids(), slices.Collect(maps.Values(t.upstreams))) {
		id = max(id, used+1)
	}
	if err := t.exec(insertUpstream, upstreamRow(id, name)...); err != nil {
		return 0, err
	}
	t.upstreams[name] = id
	t.publish(func() { t.q.upstreams.add(id, name) })
	return id, nil
}

// What to insert, behind INSERT or INSERT OR IGNORE.
const (
	rowOfEvent    = ` INTO event (seq, id, provider, type, subject, received_at, state, reason, ended_at, size, key, checksum)`
	rowOfDelivery = ` INTO delivery (state, due, attempts, used, history, checksum, seq, upstream)`
	intoEvent     = rowOfEvent + ` VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	rowOfPayload  = ` INTO payload (` + payloadColumns + `)`
	intoPayload   = rowOfPayload + ` VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`
	intoDelivery  = rowOfDelivery + ` VALUES (?, ?, ?, ?, ?, ?, ?, ?)`
)

// insert stores a new event and its payload, whose row is written with those of others.
func (t *tx) insert(e *policy.Event, sealed []byte) error {
	r := &record{seq: max(t.lastSeq+1, e.ReceivedAt/1000), Event: *e}
	t.lastSeq = r.seq
	row, err := payloadRow(r, sealed)
	if err != nil {
		return err
	}
	t.payloads = append(t.payloads, row)
	t.addNames(r)
	t.ids[e.ID] = r.seq
	t.counts.Add(e, 1)
	t.publish(func() { t.q.unfiled.add(r) })
	return nil
}

// update writes what a change of an event has changed.
func (t *tx) update(before, after *record) error {
	seq := after.seq
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
		text := `UPDATE delivery SET state = ?, due = ?, attempts = ?, used = ?, history = ?, checksum = ? WHERE seq = ? AND upstream = ?`
		switch was := before.Delivery(d.Upstream); {
		case was == nil:
			text = `INSERT` + intoDelivery
		case was.State == d.State && was.Due == d.Due && was.Attempts == d.Attempts && len(was.History) == len(d.History):
			continue
		}
		if err := t.putDelivery(text, seq, d); err != nil {
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
	if err := t.updateEvent(before, after); err != nil {
		return err
	}
	if before.Size > 0 && after.Size == 0 {
		if err := t.deletePayload(seq); err != nil {
			return err
		}
	}
	return nil
}

// updateEvent writes what has changed of an event beside its deliveries. Type and
// subject change only where a tombstone is left: to write them costs an index.
func (t *tx) updateEvent(before, after *record) error {
	state := stateOf(&after.Event)
	switch sum := eventChecksum(after, state); {
	case before.Type != after.Type || before.Subject != after.Subject || before.Reason != after.Reason:
		return t.exec(`UPDATE event SET type = ?, subject = ?, reason = ?, state = ?, ended_at = ?, size = ?, key = ?, checksum = ? WHERE seq = ?`,
			after.Type, after.Subject, after.Reason, state, after.EndedAt, after.Size, keyNumber(after.Key), sum, after.seq)
	case stateOf(&before.Event) != state || before.EndedAt != after.EndedAt || before.Size != after.Size || before.Key != after.Key:
		return t.exec(`UPDATE event SET state = ?, ended_at = ?, size = ?, key = ?, checksum = ? WHERE seq = ?`,
			state, after.EndedAt, after.Size, keyNumber(after.Key), sum, after.seq)
	}
	return nil
}

// putDelivery executes an INSERT or an UPDATE of a delivery's row.
func (t *tx) putDelivery(text string, seq int64, d *policy.Delivery) error {
	row, err := t.deliveryRow(seq, d)
	if err != nil {
		return err
	}
	return t.exec(text, row...)
}

// deliveryRow returns the columns of rowOfDelivery.
func (t *tx) deliveryRow(seq int64, d *policy.Delivery) ([]driver.Value, error) {
	upstream, err := t.upstream(d.Upstream)
	if err != nil {
		return nil, err
	}
	return deliveryRow(seq, upstream, d), nil
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
func (t *tx) delete(r *record) error {
	if err := t.deleteNames(r, nil); err != nil {
		return err
	}
	if err := t.deletePayload(r.seq); err != nil {
		return err
	}
	t.touched[r.seq] = nil
	t.counts.Add(&r.Event, -1)
	if r.seq > t.filed {
		t.publish(func() { t.q.unfiled.remove(r.seq) })
		return nil
	}
	t.filedCounts.Add(&r.Event, -1)
	if err := t.exec(`DELETE FROM delivery WHERE seq = ?`, r.seq); err != nil {
		return err
	}
	return t.exec(`DELETE FROM event WHERE seq = ?`, r.seq)
}

// change loads an event, applies a change and writes it. The event is deleted where
// change returns false.
func (t *tx) change(seq int64, change func(r *record) (keep bool)) error {
	after, err := t.load(seq)
	if err != nil || after == nil {
		return err
	}
	before := &record{seq: seq, Event: *after.Clone()}
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
		counts: make(policy.Counts), filedCounts: make(policy.Counts), lastSeq: q.lastSeq, filed: q.filed, upstreams: make(map[string]int64), ids: make(map[string]int64), touched: make(map[int64]*record),
	}, nil
}

// beginImmediate waits a moment where another process writes, as one does that replicates
// the store.
func (q *Queue) beginImmediate() error {
	for end := time.Now().Add(lockedWait); ; time.Sleep(lockedPause) {
		err := q.writing.exec(`BEGIN IMMEDIATE`)
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
		id = id.next()
		coded, err2 := json.Marshal(filedCounts)
		if err = errors.Join(err, err2); err == nil {
			err = t.exec(`UPDATE meta SET used_at = max(used_at, ?), writes = ?, checksum = ?, filed = ?, counts = ?, counts_checksum = ?`,
				t.age, id.writes, id.checksum(), t.filed, string(coded), countsChecksum(t.filed, coded))
		}
	}
	if err == nil && t.written {
		for name, id := range t.upstreams { // readers may see its rows before this returns
			q.upstreams.expect(id, name)
		}
		err = t.c.exec(`COMMIT`)
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
func (q *Queue) rollback(*tx) { _ = q.writing.exec(`ROLLBACK`) }
