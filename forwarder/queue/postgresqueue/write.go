package postgresqueue

import (
	"maps"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// set changes a locked event.
func (t *tx) set(after *tables.Record) {
	if _, changed := t.before[after.Seq]; !changed {
		t.before[after.Seq] = t.loaded[after.Seq]
	}
	t.loaded[after.Seq] = after
}

// remove deletes a locked event. The caller decides about its id.
func (t *tx) remove(seq int64) {
	if _, changed := t.before[seq]; !changed {
		t.before[seq] = t.loaded[seq]
	}
	t.loaded[seq] = nil
}

// forget deletes a locked event and its id.
func (t *tx) forget(r *tables.Record) {
	t.changes.Forgotten = append(t.changes.Forgotten, r.ID)
	t.remove(r.Seq)
}

// bury deletes a locked event and keeps its id.
func (t *tx) bury(r *tables.Record) {
	t.changes.Buried = append(t.changes.Buried, r.ID)
	t.remove(r.Seq)
}

// write adds the rows of all changed events to the changes.
func (t *tx) write() {
	for _, seq := range slices.Sorted(maps.Keys(t.before)) {
		before, after := t.before[seq], t.loaded[seq]
		t.bytes -= before.Size
		switch {
		case before.Trace: // it never changes
			t.changes.Untraced.Seqs, t.changes.Untraced.Ended = append(t.changes.Untraced.Seqs, seq), append(t.changes.Untraced.Ended, before.EndedAt)
			continue
		case after == nil:
			t.changes.Deleted, t.changes.Undelivered = append(t.changes.Deleted, seq), append(t.changes.Undelivered, seq)
			if before.Size > 0 {
				t.changes.Dropped = append(t.changes.Dropped, seq)
			}
			t.ended(seq, before.Deliveries)
			continue
		case after.Over():
			t.end(before, after)
			continue
		}
		t.bytes += after.Size
		if tables.EventCode(&before.Event) != tables.EventCode(&after.Event) || before.Reason != after.Reason || before.EndedAt != after.EndedAt || before.Size != after.Size || before.Key != after.Key {
			t.changes.Changed.Add(seq, &after.Event)
		}
		switch sealed := t.payloads[seq]; {
		case before.Size > 0 && after.Size == 0:
			t.changes.Dropped = append(t.changes.Dropped, seq)
		case sealed != nil:
			t.changes.Completed.Seqs, t.changes.Completed.Sealed = append(t.changes.Completed.Seqs, seq), append(t.changes.Completed.Sealed, sealed)
		}
		t.writeDeliveries(before, after)
	}
}

// end moves an event that is over from the tables of events to the history.
func (t *tx) end(before, after *tables.Record) {
	c := &t.changes
	c.Trace.Add(after.Seq, &after.Event)
	c.Deleted = append(c.Deleted, after.Seq)
	if before.Size > 0 {
		c.Dropped = append(c.Dropped, after.Seq)
	}
	for i := range before.Deliveries {
		d := &before.Deliveries[i]
		c.Ended.Add(after.Seq, d, before.Nodes[d.Upstream])
	}
	for i := range after.Deliveries {
		t.due(after.Seq, &after.Deliveries[i])
	}
	t.gone(before, after)
}

func (t *tx) writeDeliveries(before, after *tables.Record) {
	seq := after.Seq
	for i := range after.Deliveries {
		d := &after.Deliveries[i]
		was := before.Delivery(d.Upstream)
		switch {
		case was == nil:
			t.changes.Delivery.Add(seq, d, 0)
		case was.State != d.State || was.Blocked != d.Blocked || was.Due != d.Due || was.Attempts != d.Attempts || len(was.History) != len(d.History):
			t.changes.Redelivery.Add(seq, d, before.Nodes[d.Upstream])
		default:
			continue
		}
		t.due(seq, d)
	}
	for _, d := range t.gone(before, after) {
		t.changes.Undeliver.Seqs, t.changes.Undeliver.Upstreams = append(t.changes.Undeliver.Seqs, seq), append(t.changes.Undeliver.Upstreams, d.Upstream)
	}
}

// gone drops the deliveries in memory that an event no longer has, and returns them.
func (t *tx) gone(before, after *tables.Record) (gone []policy.Delivery) {
	for i := range before.Deliveries {
		if d := before.Deliveries[i]; after.Delivery(d.Upstream) == nil {
			gone = append(gone, d)
		}
	}
	t.ended(after.Seq, gone)
	return gone
}

// due makes a changed delivery due in memory.
func (t *tx) due(seq int64, d *policy.Delivery) {
	l := t.q.leases.Of(d.Upstream)
	switch at := d.Due; tables.DeliveryCode(d) {
	case tables.DeliveryFirst:
		t.publish(func() { l.Free(seq) })
		t.tell = append(t.tell, l.Upstream)
	case tables.DeliveryRetry:
		t.publish(func() { l.Retry(at) })
	default:
		t.publish(func() { l.Retry(0) }) // it may have been the next retry
		return
	}
	t.publish(func() { t.q.wakeUp(l.Upstream) })
}

// ended drops deleted deliveries in memory.
func (t *tx) ended(seq int64, gone []policy.Delivery) {
	for i := range gone {
		l := t.q.leases.Of(gone[i].Upstream)
		t.publish(func() {
			l.Deleted(seq)
			l.Retry(0)
		})
	}
	if len(gone) > 0 {
		t.publish(func() { t.q.recent.Drop(seq) })
	}
}
