package boltqueue

import (
	"math"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// walkSlice is how many events are looked at in one reading transaction.
const walkSlice = 1000

// newest is above the place of every event.
const newest = math.MaxUint64

// descend calls visit with every place in the indexes below the one given, the
// newest first and each once, until visit returns false.
func descend(tx *bbolt.Tx, indexes []string, below uint64, visit func(seq uint64) bool) {
	type source struct {
		cur *bbolt.Cursor
		seq uint64 // the next; 0 after the last
	}
	var sources []*source
	for _, name := range indexes {
		b := tx.Bucket([]byte(name))
		if b == nil {
			continue
		}
		s := &source{cur: b.Cursor()}
		if k, _ := s.cur.Seek(seqKey(below)); k == nil {
			k, _ = s.cur.Last()
			s.seq = parseSeq(k)
		} else {
			k, _ = s.cur.Prev()
			s.seq = parseSeq(k)
		}
		sources = append(sources, s)
	}
	for {
		var top uint64
		for _, s := range sources {
			top = max(top, s.seq)
		}
		if top == 0 || !visit(top) {
			return
		}
		for _, s := range sources {
			if s.seq == top {
				k, _ := s.cur.Prev()
				s.seq = parseSeq(k)
			}
		}
	}
}

// indexes are those in which every event is that a filter can match; often few
// others are.
func (q *Queue) indexes(state queue.State, upstream string) []string {
	upstreams := []string{upstream}
	if upstream == "" {
		upstreams = q.snapshot().upstreams()
	}
	var names []string
	switch state {
	case queue.Quarantined:
		return []string{bucketQuarantined}
	case queue.Pending:
		for _, u := range upstreams {
			names = append(names, prefixFirst+u, prefixWaiting+u)
		}
	case queue.Dead:
		for _, u := range upstreams {
			names = append(names, prefixDead+u)
		}
	default:
		names = []string{bucketEvents}
	}
	return names
}

// scan reads the events in the indexes, the newest first, in short
// transactions, and calls visit with each until it returns false.
func (q *Queue) scan(indexes []string, below uint64, visit func(seq uint64, r *record) bool) error {
	for more := true; more; {
		more = false
		err := q.view(func(tx *bbolt.Tx) error {
			events := tx.Bucket([]byte(bucketEvents))
			looked := 0
			descend(tx, indexes, below, func(seq uint64) bool {
				if looked == walkSlice {
					more = true
					return false
				}
				looked++
				below = seq
				r, err := decodeRecord(events.Get(seqKey(seq)))
				return err != nil || visit(seq, r) // what cannot be read is passed over
			})
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
