package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/seal"
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
	records map[int64]*record
	seqs    []int64 // in their order
	oldest  time.Time
	putOff  time.Time // nothing is filed before, unless it must be
}

// add adds an event that has just become durable.
func (u *unfiled) add(r *record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.seqs) == 0 {
		u.oldest = time.Now()
	}
	u.records[r.seq] = r
	u.seqs = append(u.seqs, r.seq)
}

// change puts an event's new state in place of the old one.
func (u *unfiled) change(r *record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.records[r.seq] != nil {
		u.records[r.seq] = r
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
func (u *unfiled) get(seq int64) *record {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.records[seq]
}

// all returns all of them, oldest first.
func (u *unfiled) all() []*record {
	u.mu.RLock()
	defer u.mu.RUnlock()
	all := make([]*record, len(u.seqs))
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
	var records []*record
	for _, r := range t.q.unfiled.all()[:n] {
		if changed, ok := t.touched[r.seq]; ok {
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
func (t *tx) fileRecords(records ...*record) error {
	var events, deliveries [][]driver.Value
	for _, r := range records {
		t.filed = r.seq
		events = append(events, eventRow(r))
		for i := range r.Deliveries {
			d := &r.Deliveries[i]
			row, err := t.deliveryRow(r.seq, d)
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
	if err := t.insertRows(`INSERT`+rowOfEvent, events); err != nil {
		return err
	}
	return t.insertRows(`INSERT`+rowOfDelivery, deliveries)
}

// deletePayloads deletes the payloads that are not kept of events that follow each other:
// those between two that are kept with one statement.
func (t *tx) deletePayloads(records []*record) error {
	for i := 0; i < len(records); i++ {
		first := i
		for i < len(records) && records[i].Size == 0 {
			i++
		}
		if first == i {
			continue
		}
		t.freed = true
		if err := t.exec(`DELETE FROM payload WHERE seq BETWEEN ? AND ?`, records[first].seq, records[i-1].seq); err != nil {
			return err
		}
	}
	return nil
}

const payloadColumns = `seq, id, provider, type, subject, received_at, state, reason, ended_at, upstreams, checksum, sealed`

// payloadRow returns the columns of rowOfPayload of an event as it is stored.
func payloadRow(r *record, sealed []byte) ([]driver.Value, error) {
	names := make([]string, len(r.Deliveries))
	for i := range r.Deliveries {
		names[i] = r.Deliveries[i].Upstream
	}
	upstreams, err := json.Marshal(names)
	if err != nil {
		return nil, err
	}
	if sealed == nil {
		sealed = []byte{}
	}
	state := stateOf(&r.Event)
	return []driver.Value{
		r.seq, r.ID, r.Provider, r.Type, r.Subject, r.ReceivedAt, state, r.Reason, r.EndedAt, string(upstreams),
		payloadChecksum(r, state, upstreams), sealed,
	}, nil
}

// payloadChecksum is the checksum of the other columns of a payload's row but sealed. It
// does not depend on the size and the key, which change when it is sealed anew.
func payloadChecksum(r *record, state int64, upstreams []byte) int64 {
	plain := *r
	plain.Size, plain.Key = 0, seal.Fingerprint{}
	return int64(crc32.Update(uint32(eventChecksum(&plain, state)), castagnoli, upstreams))
}

// scanPayload returns the event of a row of payloadColumns, as it was stored, and its
// sealed payload.
func scanPayload(row []driver.Value) (*record, []byte, error) {
	s := scanner{row: row}
	r := &record{seq: s.int(), Event: policy.Event{ID: s.text(), Provider: s.text(), Type: s.text(), Subject: s.text(), ReceivedAt: s.int()}}
	state := s.int()
	r.Reason, r.EndedAt = s.text(), s.int()
	upstreams := []byte(s.text())
	sum, sealed := s.int(), s.blob()
	r.SetAside = setAsideOf(state)
	var names []string
	err := json.Unmarshal(upstreams, &names)
	wrong := s.failed || err != nil || sum != payloadChecksum(r, state, upstreams)
	r.Size = int64(len(sealed))
	r.Key, _ = seal.KeyOf(sealed)
	if wrong {
		return r, sealed, fmt.Errorf("%w: the row of event %q is not as it was written", policy.ErrDamaged, r.ID)
	}
	for _, name := range names {
		r.Deliveries = append(r.Deliveries, policy.Delivery{Upstream: name, State: queue.Pending})
	}
	return r, sealed, nil
}

// read finds the events that were not filed when the process ended.
func (u *unfiled) read(ctx context.Context, c *conn, filed int64) error {
	u.mu.Lock()
	u.records, u.seqs = make(map[int64]*record), nil
	u.mu.Unlock()
	return c.query(ctx, `SELECT `+payloadColumns+` FROM payload WHERE seq > ? ORDER BY seq`, func(row []driver.Value) error {
		r, _, err := scanPayload(row)
		if err == nil {
			u.add(r)
		}
		return err
	}, filed)
}
