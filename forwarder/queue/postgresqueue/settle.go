package postgresqueue

import (
	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
	"github.com/scribegate/scribegate/verifier/event"
)

// settle records an outcome. If the event was purged meanwhile, or another node has taken
// the delivery over, only the claim ends.
func (t *tx) settle(o *policy.Outcome) error {
	seq, name := seqOf(o.Delivery), o.Delivery.Upstream
	after := t.load(seq)
	settled := false
	if after != nil && t.owns(after, o) {
		after = after.Clone()
		out := o.Outcome
		out.At, out.Next = t.q.toDatabase(o.At), t.q.toDatabase(o.Next)
		if settled = after.Settle(&out, t.now, t.settings.KeepDelivered); settled {
			if err := t.complete(after, o); err != nil {
				return err
			}
			t.set(after)
		}
	}
	var waiting []string
	if after != nil && after.Pending() {
		waiting = after.Waiting()
	}
	t.publish(func() {
		t.q.leases.Of(name).Settled(o.Delivery)
		switch {
		case len(waiting) == 0:
			t.q.recent.Drop(seq)
		case settled && o.Event != nil:
			t.q.recent.Add(policy.RecentEvent{Seq: seq, Event: o.Event, Upstreams: waiting, Size: int(after.Size)})
		case o.State != queue.Pending:
			t.q.recent.Settle(seq, name)
		}
	})
	return nil
}

// owns reports whether the outcome counts: nobody has attempted the delivery since it was
// claimed, and this node still has the lease with which it was, or nobody has one.
func (t *tx) owns(r *tables.Record, o *policy.Outcome) bool {
	d := r.Delivery(o.Delivery.Upstream)
	if d == nil || r.ID != o.Delivery.EventID || d.Attempts != o.Delivery.Attempts {
		return false
	}
	leasedBy := r.Nodes[d.Upstream]
	node, held := t.q.leases.Of(d.Upstream).Holder(r.Seq)
	return leasedBy == 0 || held && node == leasedBy
}

// complete replaces the payload of an event whose completion has ended. MaxSize does not
// apply.
func (t *tx) complete(r *tables.Record, o *policy.Outcome) error {
	if o.Event == nil || r.Size == 0 {
		return nil
	}
	t.q.recent.Replacing(r.Seq)
	sealed, err := t.sealed(r, o.Event)
	if err == nil {
		t.payloads[r.Seq] = sealed
	}
	return err
}

// sealed seals an event in place of the stored one.
func (t *tx) sealed(r *tables.Record, e *event.Event) ([]byte, error) {
	ring := t.q.ring.Load()
	sealed, err := policy.SealEvent(ring, e)
	r.Size, r.Key = int64(len(sealed)), ring.Sealer()
	return sealed, err
}

// selectPayload selects the sealed payload of an event.
const selectPayload = `SELECT p.sealed FROM scribegate.payload p WHERE p.seq = $1 AND p.slot IN ($1, 0)`

// loadPayload returns the sealed payload of a locked event, or nil.
func (t *tx) loadPayload(seq int64) (sealed []byte, err error) {
	if sealed := t.payloads[seq]; sealed != nil {
		return sealed, nil
	}
	b := t.batch()
	b.Queue(t.q.in(selectPayload), seq).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := rows.Scan(&sealed); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	return sealed, t.send(b)
}
