package boltqueue

import (
	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A block is one of those that a transaction has to do with, as it leaves it so
// far. It is written once, however many of its events have changed.
type block struct {
	delivered delivered
	known     bool
	told      bool // whether there is something of it in the file, be it damaged
	lost      bool // whether the page where it belongs cannot be read: nothing is written there
	changed   bool
	thinned   bool // whether an event of it has been deleted
}

func (t *txn) block(n uint64) *block {
	b := t.blocks[n]
	if b == nil {
		b = readBlock(t.tx, n)
		if t.blocks == nil {
			t.blocks = make(map[uint64]*block)
		}
		t.blocks[n] = b
	}
	return b
}

func readBlock(tx *bbolt.Tx, n uint64) *block {
	b := &block{lost: true}
	b.read(tx, blockKey(n))
	return b
}

func (b *block) read(tx *bbolt.Tx, key []byte) {
	var damaged error // lost tells
	defer guard(&damaged, "reading a block", "")
	if blocks := tx.Bucket([]byte(bucketDelivered)); blocks != nil {
		v := blocks.Get(key)
		b.told = v != nil
		b.known = decodeDelivered(key, v, func(upstream []byte, p places) {
			b.delivered = append(b.delivered, deliveredTo{upstream: string(upstream), places: p})
		})
	}
	b.lost = false
}

// beginBlock has the file tell of a block from its first event on, which is at
// the place.
func (t *txn) beginBlock(seq uint64) {
	n := blockOf(seq)
	if seq != max(1, blockBegin(n)) { // no event has place 0
		return
	}
	b := t.block(n)
	b.delivered, b.known, b.changed = nil, true, true
}

// nobody is the upstream in a block of events without deliveries. None is called so.
const nobody = "\x00"

// noteDelivered notes where an event's deliveries stand, as its record says.
func (t *txn) noteDelivered(seq uint64, r *record) {
	b := t.block(blockOf(seq))
	if r.forNobody() && b.delivered.set(nobody, seq, true) {
		b.changed = true
	}
	for i := range r.deliveries {
		d := &r.deliveries[i]
		if b.delivered.set(d.upstream, seq, d.state == queue.Delivered) {
			b.changed = true
		}
	}
}

// noteDeleted notes that an event is there no more.
func (t *txn) noteDeleted(seq uint64) {
	b := t.block(blockOf(seq))
	b.thinned = true
	if b.delivered.unset(seq) {
		b.changed = true
	}
}

// flushBlocks writes the blocks that have changed, and deletes those that have
// no event left. What is unknown stays so: nothing says what else is in it.
func (t *txn) flushBlocks() {
	for n, b := range t.blocks {
		key := blockKey(n)
		switch {
		case b.lost:
		case b.thinned && b.told && t.over(n) && t.deletable(key):
			t.del(bucketDelivered, key)
		case b.known && b.changed:
			t.put(bucketDelivered, key, b.delivered.coded(key))
		}
	}
}

// over reports whether a block has no event and will have none.
func (t *txn) over(n uint64) (over bool) {
	var damaged error // then there may be one
	defer guard(&damaged, "reading a block", "")
	events := t.bucket(bucketEvents)
	if events == nil || blockOf(events.Sequence()+1) == n {
		return false
	}
	k, _ := events.Cursor().Seek(seqKey(blockBegin(n)))
	return k == nil || blockOf(parseSeq(k)) != n
}

// leastElement is the least that a block takes on a page, in bytes: what bbolt
// keeps of it, its key, and its value where nothing has been delivered.
const leastElement = 16 + 7 + 5

// deletable reports whether the pages about a block can be read. From two pages
// that have become nearly empty bbolt makes one, and where that fails nothing is
// committed; so a block beside a damaged page stays.
func (t *txn) deletable(key []byte) (sound bool) {
	var damaged error // sound tells
	defer guard(&damaged, "reading blocks", "")
	b := t.bucket(bucketDelivered)
	if b == nil {
		return false
	}
	page := t.tx.DB().Info().PageSize / leastElement // the most that are on one
	for _, step := range []func(*bbolt.Cursor) ([]byte, []byte){(*bbolt.Cursor).Next, (*bbolt.Cursor).Prev} {
		c := b.Cursor()
		k, _ := c.Seek(key)
		for n := 0; k != nil && n <= page; n++ {
			k, _ = step(c)
		}
	}
	return true
}
