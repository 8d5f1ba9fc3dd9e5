package boltqueue

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// mend looks through all events for pending deliveries that their upstream's
// indexes do not know, and puts them in. It is called when an index has turned
// out to be damaged: whatever entry was there before would never be claimed.
func (q *Queue) mend() {
	if !q.mending.CompareAndSwap(false, true) {
		return
	}
	q.closers.Go(func() {
		defer q.mending.Store(false)
		for from := uint64(1); from != 0; {
			seqs, next, err := q.pendingFrom(from)
			if err == nil && len(seqs) > 0 {
				err = q.do(context.Background(), func(t *txn) error {
					for _, seq := range seqs {
						t.mend(seq)
					}
					return t.err
				})
			}
			if err != nil {
				return // the queue is closed, or nothing can be read or written
			}
			from = next
		}
	})
}

// pendingFrom finds the events from a place on that have pending deliveries, in
// a slice of them. next is where to go on; 0 says that there are no more. What
// is on a page that cannot be read is passed over.
func (q *Queue) pendingFrom(from uint64) (seqs []uint64, next uint64, err error) {
	err = q.view(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte(bucketEvents))
		next = from
		for range walkSlice {
			seq, v, ok := seekSafely(b, next)
			if !ok { // on a damaged page
				if next++; next > b.Sequence() {
					next = 0
				}
			} else if seq == 0 {
				next = 0
			} else {
				next = seq + 1
				if r, err := decodeRecord(v); err == nil && r.has(queue.Pending) {
					seqs = append(seqs, seq)
				}
			}
			if next == 0 {
				return nil
			}
		}
		return nil
	})
	return seqs, next, err
}

// seekSafely finds the first event at or after a place. Seq 0 says that there is
// none; ok is false where the page cannot be read.
func seekSafely(b *bbolt.Bucket, from uint64) (seq uint64, v []byte, ok bool) {
	var damaged error // ok tells
	defer guard(&damaged, "reading a record", "")
	k, v := b.Cursor().Seek(seqKey(from))
	return parseSeq(k), bytes.Clone(v), true
}

// mend puts an event's pending deliveries into the indexes that lack them.
func (t *txn) mend(seq uint64) {
	r := t.record(seq)
	if r == nil {
		return
	}
	for i := range r.deliveries {
		d := &r.deliveries[i]
		if d.state != queue.Pending {
			continue
		}
		known := t.has(prefixFirst+d.upstream, seqKey(seq))
		if d.next != 0 {
			known = t.has(prefixRetry+d.upstream, timeSeqKey(d.next, seq)) && t.has(prefixWaiting+d.upstream, seqKey(seq))
		}
		if known {
			continue
		}
		t.index(seq, d)
		t.rewound = append(t.rewound, place{upstream: d.upstream, seq: seq})
		t.wakeUp(d.upstream)
	}
}
