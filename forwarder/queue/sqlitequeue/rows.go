package sqlitequeue

import (
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	// refileAfter is how long filing pauses after a failure, so that it does not delay
	// changes of other events.
	refileAfter = time.Second

	// maxUnfiled is the maximum number of unfiled events while filing fails. Above it,
	// events are not stored.
	maxUnfiled = 16_384
)

// errUnfiled means that events could not be filed.
var errUnfiled = errors.New("the rows of events that were stored before cannot be written")

// add stores a new event and its payload, whose row is inserted together with others.
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
	t.publish(func() { t.q.unfiled.Add(r) })
	return nil
}

// update writes the changed columns and rows of an event.
func (t *tx) update(before, after *tables.Record) error {
	seq := after.Seq
	t.changed[seq] = after
	t.counts.Add(&before.Event, -1)
	t.counts.Add(&after.Event, 1)
	if seq > t.filed {
		t.publish(func() { t.q.unfiled.Change(after) })
		t.updateLeases(before, after)
		return nil
	}
	t.updateLeases(before, after)
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
		if was != nil && was.State == d.State && was.Blocked == d.Blocked && was.Due == d.Due && was.Attempts == d.Attempts && len(was.History) == len(d.History) {
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

// updateLeases makes the deliveries due that a change of an event has unblocked, and drops
// those that it has deleted. after is nil if the event is deleted.
func (t *tx) updateLeases(before, after *tables.Record) {
	for i := range before.Deliveries {
		was := &before.Deliveries[i]
		if was.State != queue.Pending {
			continue
		}
		name := was.Upstream
		var d *policy.Delivery
		if after != nil {
			d = after.Delivery(name)
		}
		switch {
		case d == nil:
			t.publish(func() { t.q.leases.of(name).purged(before.Seq) })
		case was.Blocked && d.State == queue.Pending && !d.Blocked:
			t.publish(func() {
				if d.First() {
					t.q.leases.of(name).unblocked(after.ClaimOf(after.Seq, name))
				}
				t.q.wakeUp(name)
			})
		}
	}
}

// delete deletes an event and its id.
func (t *tx) delete(r *tables.Record) error {
	if err := t.deleteNames(r, nil); err != nil {
		return err
	}
	if err := t.deletePayload(r.Seq); err != nil {
		return err
	}
	t.changed[r.Seq] = nil
	t.counts.Add(&r.Event, -1)
	t.updateLeases(r, nil)
	if r.Seq > t.filed {
		t.publish(func() { t.q.unfiled.Remove(r.Seq) })
		return nil
	}
	t.filedCounts.Add(&r.Event, -1)
	if err := t.exec(`DELETE FROM delivery WHERE seq = ?`, r.Seq); err != nil {
		return err
	}
	return t.exec(`DELETE FROM event WHERE seq = ?`, r.Seq)
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

// deletePayloads deletes the payloads that are no longer kept, with one statement for
// each run of consecutive events.
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

// deliveryRow returns the columns of tables.IntoDelivery.
func (t *tx) deliveryRow(seq int64, d *policy.Delivery) ([]driver.Value, error) {
	upstream, err := t.upstream(d.Upstream)
	if err != nil {
		return nil, err
	}
	return tables.DeliveryRow(seq, upstream, d), nil
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

// fileAll files all unfiled events, so that the tables are complete.
func (t *tx) fileAll() error { return t.file(t.q.unfiled.Len()) }

// file writes the rows of the n oldest unfiled events.
func (t *tx) file(n int) error {
	if n == 0 {
		return nil
	}
	var records []*tables.Record
	for _, r := range t.q.unfiled.All()[:n] {
		if changed, ok := t.changed[r.Seq]; ok {
			r = changed
		}
		if r != nil { // nil: deleted meanwhile
			records = append(records, r)
		}
	}
	if err := t.fileRecords(records...); err != nil {
		t.q.unfiled.Postpone(refileAfter)
		return fmt.Errorf("%w: %w", errUnfiled, err)
	}
	through := t.filed
	t.publish(func() {
		t.q.filed = through
		t.q.unfiled.Filed(through)
	})
	return nil
}

// fileRecords inserts the rows of events whose payloads are stored.
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
				t.publish(func() { t.q.wakeUp(name) }) // Claim could not return the due time of this retry
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
