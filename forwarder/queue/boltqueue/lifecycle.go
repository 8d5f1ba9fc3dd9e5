package boltqueue

import (
	"github.com/scribegate/scribegate/forwarder/queue"
)

// index adds a pending or dead delivery to the indexes of its upstream.
func (t *txn) index(seq uint64, d *delivery) {
	switch {
	case d.state == queue.Dead:
		t.put(prefixDead+d.upstream, seqKey(seq), nil)
		t.add(countDead+d.upstream, 1)
	case d.state != queue.Pending:
	case d.next == 0:
		t.put(prefixFirst+d.upstream, seqKey(seq), nil)
		t.add(countPending+d.upstream, 1)
	default:
		t.put(prefixRetry+d.upstream, timeSeqKey(d.next, seq), nil)
		t.put(prefixWaiting+d.upstream, seqKey(seq), nil)
		t.add(countPending+d.upstream, 1)
	}
}

// unindex takes a delivery out of the indexes that index added it to.
func (t *txn) unindex(seq uint64, d *delivery) {
	switch {
	case d.state == queue.Dead:
		t.del(prefixDead+d.upstream, seqKey(seq))
		t.add(countDead+d.upstream, -1)
	case d.state != queue.Pending:
	case d.next == 0:
		t.del(prefixFirst+d.upstream, seqKey(seq))
		t.add(countPending+d.upstream, -1)
	default:
		t.del(prefixRetry+d.upstream, timeSeqKey(d.next, seq))
		t.del(prefixWaiting+d.upstream, seqKey(seq))
		t.add(countPending+d.upstream, -1)
	}
}

// end records that no delivery of an event is pending any more. The caller
// writes the record.
func (t *txn) end(seq uint64, r *record) {
	r.endedAt = t.now
	key := timeSeqKey(r.endedAt, seq)
	c := r.class()
	t.put(prefixEnded+string(c), key, nil)
	if c != classDelivered || !r.payload {
		return
	}
	if t.settings.KeepDelivered > 0 {
		t.put(bucketHeld, key, nil)
		return
	}
	t.dropPayload(seq, r)
}

// revive takes back what end did, for an event that is delivered again. The
// class is that of the record as it ended.
func (t *txn) revive(seq uint64, r *record) {
	if r.endedAt == 0 {
		return
	}
	key := timeSeqKey(r.endedAt, seq)
	t.del(prefixEnded+string(r.class()), key)
	t.del(bucketHeld, key)
	r.endedAt = 0
}

// dropPayload deletes an event's payload. The caller writes the record.
func (t *txn) dropPayload(seq uint64, r *record) {
	if !r.payload {
		return
	}
	t.del(bucketPayloads, seqKey(seq))
	t.add(countBytes, -r.size)
	t.add(countSealed+string(r.key[:]), -1)
	r.forgetPayload()
}

// remove deletes an event for good. Its id is remembered until the dedupe
// window ends.
func (t *txn) remove(seq uint64, r *record) {
	t.revive(seq, r)
	for i := range r.deliveries {
		t.unindex(seq, &r.deliveries[i])
	}
	if r.quarantined {
		t.del(bucketQuarantined, seqKey(seq))
		t.add(countQuarantined, -1)
	}
	t.dropPayload(seq, r)
	t.delRecord(seq)
	t.endName(r, seq)
}

// forgotten reports whether the dedupe window of a receipt is over.
func (t *txn) forgotten(receivedAt int64) bool {
	return t.age-receivedAt >= int64(t.settings.DedupeWindow)
}
