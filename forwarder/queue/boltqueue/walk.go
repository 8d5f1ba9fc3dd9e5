package boltqueue

import (
	"math"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// walkSlice is how many events, or blocks of them, are looked at in one reading
// transaction.
const walkSlice = 1000

// newest is above the place of every event.
const newest = math.MaxUint64

// A source tells where there may be events that are looked for.
type source interface {
	// next tells the highest such place below the one given; 0 says that there
	// is none. Where found is false it tells only how far there is none, since
	// it has looked far enough for one step.
	next(below uint64) (seq uint64, found bool)
}

// sourceOf is the source that goes by an index, or nil where there is none yet.
func sourceOf(tx *bbolt.Tx, index string) source {
	if upstream, ok := deliveredIndex(index); ok {
		return newDeliveredSource(tx, upstream)
	}
	events := tx.Bucket([]byte(bucketEvents)).Cursor()
	if index == bucketEvents {
		return &everything{cur: events}
	}
	b := tx.Bucket([]byte(index))
	if b == nil {
		return nil
	}
	return &entries{index: everything{cur: b.Cursor()}, instead: everything{cur: events}}
}

// everything is the source that takes every key of a bucket.
type everything struct {
	cur *bbolt.Cursor
	at  uint64 // where the cursor stands, if not 0
}

func (s *everything) next(below uint64) (seq uint64, found bool) {
	if below == 0 {
		return 0, false
	}
	var k []byte
	if s.at == below {
		k, _ = s.cur.Prev()
	} else if k, _ = s.cur.Seek(seqKey(below)); k != nil {
		k, _ = s.cur.Prev()
	} else {
		k, _ = s.cur.Last()
	}
	for k != nil && (len(k) != 8 || parseSeq(k) >= below) { // it is damaged
		k, _ = s.cur.Prev()
	}
	s.at = parseSeq(k)
	return s.at, s.at != 0
}

// entries is the source that goes by the entries of an index, and from where
// they cannot be read takes every event instead.
type entries struct {
	index   everything
	instead everything
	damaged error
}

func (s *entries) next(below uint64) (seq uint64, found bool) {
	if s.damaged == nil {
		if seq, found = s.read(below); s.damaged == nil {
			return seq, found
		}
	}
	return s.instead.next(below)
}

func (s *entries) read(below uint64) (seq uint64, found bool) {
	defer guard(&s.damaged, "reading an index", "")
	return s.index.next(below)
}

// descend calls visit with every place in the indexes below the one given, the
// newest first and each once, until visit returns false or it has looked at a
// slice of them. It returns the place below which to go on; 0 says that there
// is nothing more to do.
func descend(tx *bbolt.Tx, indexes []string, below uint64, visit func(seq uint64) bool) uint64 {
	type head struct {
		source
		seq   uint64 // that it has come to
		found bool
	}
	var heads []head
	for _, index := range indexes {
		if s := sourceOf(tx, index); s != nil {
			heads = append(heads, head{source: s, seq: below})
		}
	}
	for range walkSlice {
		var top uint64
		found := false
		for i := range heads {
			h := &heads[i]
			if h.seq == below {
				h.seq, h.found = h.next(below)
			}
			if h.seq > top {
				top, found = h.seq, false
			}
			found = found || (h.found && h.seq == top)
		}
		if top == 0 || (found && !visit(top)) {
			return 0
		}
		below = top
	}
	return below
}

// indexes are those in which every event is that a filter can match; often few
// others are.
func (q *Queue) indexes(state queue.State, upstream string) []string {
	upstreams := []string{upstream}
	if upstream == "" {
		upstreams = q.snapshot().upstreams()
	}
	var names []string
	switch {
	case state == queue.Quarantined && upstream != "":
		return nil // they are for nobody
	case state == queue.Quarantined:
		return []string{bucketQuarantined}
	case state == queue.Delivered:
		return []string{indexDelivered + upstream}
	case state == queue.Dead:
		for _, u := range upstreams {
			names = append(names, prefixDead+u)
		}
	case state == queue.Pending:
		for _, u := range upstreams {
			names = append(names, prefixFirst+u, prefixWaiting+u)
		}
	case upstream != "": // in any of the three
		names = []string{indexDelivered + upstream, prefixFirst + upstream, prefixWaiting + upstream, prefixDead + upstream}
	default:
		names = []string{bucketEvents}
	}
	return names
}

// scan reads the events in the indexes, the newest first, in short
// transactions, and calls visit with each until it returns false.
func (q *Queue) scan(indexes []string, below uint64, visit func(seq uint64, r *record) bool) error {
	for {
		err := q.view(func(tx *bbolt.Tx) error {
			events := tx.Bucket([]byte(bucketEvents))
			below = descend(tx, indexes, below, func(seq uint64) bool {
				r, err := decodeRecord(events.Get(seqKey(seq)))
				return err != nil || visit(seq, r) // what cannot be read is passed over
			})
			return nil
		})
		if err != nil || below == 0 {
			return err
		}
	}
}
