package boltqueue

import (
	"github.com/scribegate/scribegate/forwarder/queue"
)

// Settle implements queue.Queue.
func (q *Queue) Settle(o queue.Outcome) {
	switch o.State {
	case queue.Pending, queue.Delivered, queue.Dead:
		s := &settling{outcome: o}
		was, forFile := true, true
		if l, ok := loanOf(o.Delivery); ok {
			was, forFile = q.fresh.settle(l, s)
		}
		if forFile {
			was = q.intake.settle(s)
		}
		if was {
			q.journal.note(s)
		}
	default: // no state of a delivery: as if it had not been attempted
		q.Release(o.Delivery)
	}
}

// A settling is an outcome that waits for its transaction.
type settling struct {
	outcome queue.Outcome // of a delivery whose Seq may be 0: then its event is looked up
	logState
}

// apply records the outcome where the delivery is pending still. Where it is
// not, the event was purged meanwhile, and only the claim ends.
func (s *settling) apply(t *txn) error {
	o := &s.outcome
	seq, upstream := o.Delivery.Seq, o.Delivery.Upstream
	if seq == 0 {
		return s.applyRecalled(t)
	}
	r := t.record(seq)
	if r != nil && r.id == o.Delivery.EventID {
		if d := r.delivery(upstream); d != nil && d.state == queue.Pending {
			t.settle(seq, r, d, o)
		}
	}
	if t.err == nil {
		t.settled = append(t.settled, place{upstream: upstream, seq: seq})
	}
	return t.err
}

func (t *txn) settle(seq uint64, r *record, d *delivery, o *queue.Outcome) {
	t.unindex(seq, d)
	d.settle(o)
	if d.state == queue.Pending {
		t.wakeUp(d.upstream) // Claim could not tell of this retry yet
	}
	t.index(seq, d)
	if !r.has(queue.Pending) {
		t.end(seq, r)
	}
	t.putRecord(seq, r)
}

// done has nobody to tell: an outcome that is lost costs a duplicate.
func (s *settling) done(error) {}
