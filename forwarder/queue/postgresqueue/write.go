package postgresqueue

import (
	"maps"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// set changes a locked event.
func (t *tx) set(after *record) {
	if _, changed := t.before[after.seq]; !changed {
		t.before[after.seq] = t.loaded[after.seq]
	}
	t.loaded[after.seq] = after
}

// remove deletes a locked event. The caller decides about its id.
func (t *tx) remove(seq int64) {
	if _, changed := t.before[seq]; !changed {
		t.before[seq] = t.loaded[seq]
	}
	t.loaded[seq] = nil
}

// forget deletes a locked event and its id.
func (t *tx) forget(r *record) {
	t.changes.forgotten = append(t.changes.forgotten, r.ID)
	t.remove(r.seq)
}

// bury deletes a locked event and keeps its id.
func (t *tx) bury(r *record) {
	t.changes.buried = append(t.changes.buried, r.ID)
	t.remove(r.seq)
}

// write adds the rows of all changed events to the changes.
func (t *tx) write() {
	for _, seq := range slices.Sorted(maps.Keys(t.before)) {
		before, after := t.before[seq], t.loaded[seq]
		t.bytes -= before.Size
		switch {
		case before.trace: // it never changes
			t.changes.untraced.seqs, t.changes.untraced.ended = append(t.changes.untraced.seqs, seq), append(t.changes.untraced.ended, before.EndedAt)
			continue
		case after == nil:
			t.changes.deleted, t.changes.undelivered = append(t.changes.deleted, seq), append(t.changes.undelivered, seq)
			if before.Size > 0 {
				t.changes.dropped = append(t.changes.dropped, seq)
			}
			t.ended(seq, before.Deliveries)
			continue
		case after.Over():
			t.end(before, after)
			continue
		}
		t.bytes += after.Size
		if eventCode(&before.Event) != eventCode(&after.Event) || before.Reason != after.Reason || before.EndedAt != after.EndedAt || before.Size != after.Size || before.Key != after.Key {
			t.changes.changed.add(seq, &after.Event)
		}
		switch sealed := t.payloads[seq]; {
		case before.Size > 0 && after.Size == 0:
			t.changes.dropped = append(t.changes.dropped, seq)
		case sealed != nil:
			t.changes.completed.seqs, t.changes.completed.sealed = append(t.changes.completed.seqs, seq), append(t.changes.completed.sealed, sealed)
		}
		t.writeDeliveries(before, after)
	}
}

func (t *tx) writeDeliveries(before, after *record) {
	seq := after.seq
	for i := range after.Deliveries {
		d := &after.Deliveries[i]
		was := before.Delivery(d.Upstream)
		switch {
		case was == nil:
			t.changes.delivery.add(seq, d, 0)
		case was.State != d.State || was.Blocked != d.Blocked || was.Due != d.Due || was.Attempts != d.Attempts || len(was.History) != len(d.History):
			t.changes.redelivery.add(seq, d, before.nodes[d.Upstream])
		default:
			continue
		}
		t.due(seq, d)
	}
	for _, d := range t.gone(before, after) {
		t.changes.undeliver.seqs, t.changes.undeliver.upstreams = append(t.changes.undeliver.seqs, seq), append(t.changes.undeliver.upstreams, d.Upstream)
	}
}

// gone drops the deliveries in memory that an event no longer has, and returns them.
func (t *tx) gone(before, after *record) (gone []policy.Delivery) {
	for i := range before.Deliveries {
		if d := before.Deliveries[i]; after.Delivery(d.Upstream) == nil {
			gone = append(gone, d)
		}
	}
	t.ended(after.seq, gone)
	return gone
}

// due makes a changed delivery due in memory.
func (t *tx) due(seq int64, d *policy.Delivery) {
	l := t.q.leases.Of(d.Upstream)
	switch at := d.Due; deliveryCode(d) {
	case deliveryFirst:
		t.publish(func() { l.Free(seq) })
		t.tell = append(t.tell, l.Upstream)
	case deliveryRetry:
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
