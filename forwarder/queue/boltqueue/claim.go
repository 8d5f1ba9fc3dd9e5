package boltqueue

import (
	"fmt"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// Claim implements queue.Queue. It takes nothing while so many outcomes wait
// for a disk that fails that more would only fill the memory.
func (q *Queue) Claim(upstream string, now time.Time, want queue.Want) (queue.Claimed, error) {
	if q.isClosed() {
		return queue.Claimed{}, queue.ErrClosed
	}
	if q.intake.crowded(upstream) {
		return queue.Claimed{}, nil
	}
	c := claiming{lane: q.lanes.of(upstream), now: nanos(now)}
	if err := c.run(q, want); err != nil {
		return queue.Claimed{}, fmt.Errorf("claiming deliveries for %s: %w", upstream, err)
	}
	for _, e := range c.broken {
		if q.intake.do(&settingApart{queue: q, lane: c.lane, entry: e}) != nil {
			break // the queue is closed
		}
	}
	lent, next := q.fresh.lend(upstream, queue.Want{First: want.First - c.first, Retry: want.Retry - (len(c.taken) - c.first)}, c.now)
	c.taken = append(c.taken, lent...)
	if next > 0 && (c.next == 0 || next < c.next) {
		c.next = next
	}
	return queue.Claimed{Deliveries: c.taken, Next: at(c.next)}, nil
}

// A claiming is one call of Claim.
type claiming struct {
	lane   *lane
	now    int64
	tx     *bbolt.Tx
	taken  []queue.Delivery
	first  int // how many of taken are from the first index
	broken []entry
	cursor uint64
	next   int64
}

// An entry is one of an upstream's first or retry index.
type entry struct {
	index string // the bucket
	key   []byte
	seq   uint64
}

func (c *claiming) run(q *Queue, want queue.Want) error {
	c.lane.mu.Lock()
	defer c.lane.mu.Unlock()
	err := q.view(func(tx *bbolt.Tx) error {
		c.tx = tx
		c.takeFirst(want.First)
		c.first = len(c.taken)
		c.takeRetries(want.Retry)
		return nil
	})
	if err != nil {
		return err // and nothing is claimed
	}
	c.lane.cursor = c.cursor
	for i, d := range c.taken {
		c.lane.claimed[d.Seq] = i < c.first
	}
	for _, e := range c.broken {
		c.lane.claimed[e.seq] = true // until it is set apart
	}
	return nil
}

func (c *claiming) takeFirst(want int) {
	c.cursor = c.lane.cursor
	name := prefixFirst + c.lane.name
	b := c.tx.Bucket([]byte(name))
	if b == nil || want <= 0 {
		return
	}
	cur := b.Cursor()
	for k, _ := cur.Seek(seqKey(c.cursor)); k != nil && len(c.taken) < want; k, _ = cur.Next() {
		seq := parseSeq(k)
		c.cursor = seq + 1
		c.take(entry{index: name, key: k, seq: seq})
	}
}

func (c *claiming) takeRetries(want int) {
	name := prefixRetry + c.lane.name
	b := c.tx.Bucket([]byte(name))
	if b == nil {
		return
	}
	cur := b.Cursor()
	for k, _ := cur.First(); k != nil && len(c.taken)-c.first < want; k, _ = cur.Next() {
		due, seq := parseTimeSeq(k)
		if due > c.now {
			break
		}
		c.take(entry{index: name, key: k, seq: seq})
	}
	for k, _ := cur.Seek(timeKey(c.now + 1)); k != nil; k, _ = cur.Next() {
		due, seq := parseTimeSeq(k)
		if _, claimed := c.lane.claimed[seq]; !claimed {
			c.next = due
			return
		}
	}
}

// take takes the delivery of an index entry, if it is not claimed.
func (c *claiming) take(e entry) {
	if _, claimed := c.lane.claimed[e.seq]; claimed {
		return
	}
	r := readRecord(func() []byte { return c.tx.Bucket([]byte(bucketEvents)).Get(seqKey(e.seq)) })
	var d *delivery
	if r != nil {
		d = r.delivery(c.lane.name)
	}
	if d == nil || d.state != queue.Pending {
		e.key = append([]byte(nil), e.key...)
		c.broken = append(c.broken, e)
		return
	}
	c.taken = append(c.taken, queue.Delivery{
		Seq:        e.seq,
		EventID:    r.id,
		Provider:   r.provider,
		Type:       r.typ,
		Upstream:   c.lane.name,
		Size:       r.size,
		ReceivedAt: at(r.receivedAt),
		Attempts:   d.attempts,
		Used:       d.used,
		LastEnded:  d.lastEnded(),
	})
}

// Load implements queue.Queue.
func (q *Queue) Load(d queue.Delivery) (*event.Event, error) {
	if l, ok := loanOf(d); ok {
		return q.loadFresh(l, d)
	}
	return q.loadStored(d)
}

func (q *Queue) loadStored(d queue.Delivery) (*event.Event, error) {
	var e *event.Event
	err := q.view(func(tx *bbolt.Tx) (err error) {
		sealed, events := tx.Bucket([]byte(bucketPayloads)).Get(seqKey(d.Seq)), tx.Bucket([]byte(bucketEvents))
		r := readRecord(func() []byte { return events.Get(seqKey(d.Seq)) })
		if r != nil && r.delivery(d.Upstream) == nil || sealed == nil && events.Get(seqKey(d.Seq)) == nil {
			return fmt.Errorf("loading event %s: %w: it has been purged", d.EventID, queue.ErrNotFound)
		}
		if sealed == nil {
			return fmt.Errorf("loading event %s: %w: its record is gone", d.EventID, queue.ErrUnreadable)
		}
		e, err = q.ring.Load().open(d.EventID, sealed)
		return err
	})
	if err != nil {
		return nil, err
	}
	return e, nil
}

// Release implements queue.Queue.
func (q *Queue) Release(d queue.Delivery) {
	if l, ok := loanOf(d); ok {
		q.fresh.release(l)
	} else {
		q.lanes.of(d.Upstream).release(d.Seq)
	}
	q.wakeUp(d.Upstream)
}
