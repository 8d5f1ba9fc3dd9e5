package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	// manyUnfiled is how many events may be unfiled before the older half is filed.
	manyUnfiled = 512

	// fileAfter is how long an event is unfiled at most.
	fileAfter = 100 * time.Millisecond

	// refileAfter is how long nothing is filed after that has failed.
	refileAfter = time.Second

	// maxUnfiled is how many may be unfiled where none can be filed. With more, events
	// are not stored.
	maxUnfiled = 16_384
)

// errUnfiled says that events could not be filed.
var errUnfiled = errors.New("the rows of events that were stored before cannot be written")

// unfiled are the newest events: those that have a row in table payload and no rows in
// event and delivery yet.
//
// What an answer waits for is one row at the end of one table. By the time an event is
// filed, a moment later and together with others, most are delivered: their rows are
// written once, in their last state, and their payload is deleted. Until then this is
// where their state is. A crash loses it: then they are pending, as they were stored.
//
// Only the writer changes it. The records in it are never changed.
type unfiled struct {
	mu      sync.RWMutex
	records map[int64]*tables.Record
	seqs    []int64 // in their order
	oldest  time.Time
	putOff  time.Time // nothing is filed before, unless it must be
}

// add adds an event that has just become durable.
func (u *unfiled) add(r *tables.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.seqs) == 0 {
		u.oldest = time.Now()
	}
	u.records[r.Seq] = r
	u.seqs = append(u.seqs, r.Seq)
}

// change puts an event's new state in place of the old one.
func (u *unfiled) change(r *tables.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.records[r.Seq] != nil {
		u.records[r.Seq] = r
	}
}

// remove removes an event that was deleted.
func (u *unfiled) remove(seq int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.records, seq)
	u.seqs = slices.DeleteFunc(u.seqs, func(s int64) bool { return s == seq })
}

// filed removes the events up to the seq, which are in the tables now.
func (u *unfiled) filed(seq int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, found := slices.BinarySearch(u.seqs, seq)
	if found {
		n++
	}
	for _, s := range u.seqs[:n] {
		delete(u.records, s)
	}
	u.seqs = slices.Delete(u.seqs, 0, n)
	u.oldest = time.Now()
}

// get returns the event with the seq, or nil.
func (u *unfiled) get(seq int64) *tables.Record {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.records[seq]
}

// all returns all of them, oldest first.
func (u *unfiled) all() []*tables.Record {
	u.mu.RLock()
	defer u.mu.RUnlock()
	all := make([]*tables.Record, len(u.seqs))
	for i, seq := range u.seqs {
		all[i] = u.records[seq]
	}
	return all
}

func (u *unfiled) len() int {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return len(u.seqs)
}

// overdue returns how many are to be filed now: the older half of many, or all after a
// moment.
func (u *unfiled) overdue() int {
	u.mu.RLock()
	defer u.mu.RUnlock()
	switch n := len(u.seqs); {
	case time.Now().Before(u.putOff):
		return 0
	case n >= manyUnfiled:
		return n / 2
	case n > 0 && time.Since(u.oldest) >= fileAfter:
		return n
	}
	return 0
}

// failed puts off the next filing, so that what concerns other events is not held up.
func (u *unfiled) failed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.putOff = time.Now().Add(refileAfter)
}

// until returns how long nothing has to be filed.
func (u *unfiled) until() time.Duration {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if len(u.seqs) == 0 {
		return time.Hour
	}
	return max(0, fileAfter-time.Since(u.oldest), time.Until(u.putOff))
}

// fileAll writes the rows of all events that are unfiled, so that the tables have
// everything.
func (t *tx) fileAll() error { return t.file(t.q.unfiled.len()) }

// file writes the rows of the n oldest events that are unfiled.
func (t *tx) file(n int) error {
	if n == 0 {
		return nil
	}
	var records []*tables.Record
	for _, r := range t.q.unfiled.all()[:n] {
		if changed, ok := t.touched[r.Seq]; ok {
			r = changed
		}
		if r != nil { // or it was deleted meanwhile
			records = append(records, r)
		}
	}
	if err := t.fileRecords(records...); err != nil {
		t.q.unfiled.failed()
		return fmt.Errorf("%w: %w", errUnfiled, err)
	}
	through := t.filed
	t.publish(func() {
		t.q.filed = through
		t.q.unfiled.filed(through)
	})
	return nil
}

// fileRecords writes the rows of events whose payloads are stored.
func (t *tx) fileRecords(records ...*tables.Record) error {
	var events, deliveries [][]driver.Value
	for _, r := range records {
		t.filed = r.Seq
		events = append(events, tables.EventRow(r))
		for i := range r.Deliveries {
			d := &r.Deliveries[i]
			row, err := t.deliveryRow(r.Seq, d)
			if err != nil {
				return err
			}
			deliveries = append(deliveries, row)
			if d.State == queue.Pending && !d.First() {
				name := d.Upstream
				t.publish(func() { t.q.wakeUp(name) }) // Claim could not return when this retry is due
			}
		}
		t.filedCounts.Add(&r.Event, 1)
	}
	if err := t.deletePayloads(records); err != nil {
		return err
	}
	if err := t.insert(`INSERT`+tables.IntoEvent, events...); err != nil {
		return err
	}
	return t.insert(`INSERT`+tables.IntoDelivery, deliveries...)
}

// deletePayloads deletes the payloads that are not kept of events that follow each other:
// those between two that are kept with one statement.
func (t *tx) deletePayloads(records []*tables.Record) error {
	for i := 0; i < len(records); i++ {
		first := i
		for i < len(records) && records[i].Size == 0 {
			i++
		}
		if first == i {
			continue
		}
		t.freed = true
		if err := t.exec(`DELETE FROM payload WHERE seq BETWEEN ? AND ?`, records[first].Seq, records[i-1].Seq); err != nil {
			return err
		}
	}
	return nil
}

// read finds the events that were not filed when the process ended.
func (u *unfiled) read(ctx context.Context, c *tables.Conn, filed int64) error {
	u.mu.Lock()
	u.records, u.seqs = make(map[int64]*tables.Record), nil
	u.mu.Unlock()
	return c.Query(ctx, `SELECT `+tables.PayloadColumns+` FROM payload WHERE seq > ? ORDER BY seq`, func(row []driver.Value) error {
		r, _, err := tables.ScanPayload(row)
		if err == nil {
			u.add(r)
		}
		return err
	}, filed)
}

// load returns the event with the seq, nil where there is none, and
// policy.ErrDamaged where it cannot be read.
func (q *Queue) load(ctx context.Context, c *tables.Conn, seq int64) (*tables.Record, error) {
	if r := q.unfiled.get(seq); r != nil {
		return r, nil
	}
	return tables.Load(ctx, c, q.upstreams, seq)
}
