package boltqueue

import (
	"bytes"
	"encoding/binary"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// counts tell how many of each thing are in the store; see the count constants.
type counts map[string]int64

func readCounts(tx *bbolt.Tx) counts {
	c := make(counts)
	b := tx.Bucket([]byte(bucketCounts))
	if b == nil {
		return c
	}
	cur := b.Cursor()
	for k, v := cur.First(); k != nil; k, v = cur.Next() {
		if len(v) == 8 {
			c[string(k)] = int64(binary.BigEndian.Uint64(v)) // flush wrote it
		}
	}
	return c
}

// A place is an event's delivery to an upstream.
type place struct {
	upstream string
	seq      uint64
}

// A txn is a transaction that changes the store, and what has to happen in
// memory once it is durable.
//
// The first error sticks, so that a sequence of changes is checked once.
type txn struct {
	tx       *bbolt.Tx
	path     string // of the file, for errors
	settings queue.Settings
	now      int64 // for the end of an event
	age      int64 // by which ages are judged; earlier than now after the clock has jumped
	lanes    *lanes
	recent   *recent
	base     counts // as committed; not to be changed
	delta    counts // what this transaction adds
	buckets  map[string]*bbolt.Bucket
	blocks   map[uint64]*block // those that it has to do with
	dirty    bool
	stored   int64 // bytes that new events take up
	stale    bool  // whether an older key has sealed something of that
	err      error

	noting bool    // whether writes are noted, for a copy of the file
	writes []write // so far

	settled []place             // whose claim ends
	renamed map[idHash]uint64   // the ids that are recent ones now, or with 0 no more
	rewound []place             // which are due again, behind a lane's cursor
	wake    map[string]struct{} // upstreams that may be due
}

// fillPercent is how full a page is made that is split: high, since most keys
// are appended.
const fillPercent = 0.9

func (t *txn) bucket(name string) *bbolt.Bucket {
	if b := t.buckets[name]; b != nil {
		return b
	}
	b, err := t.tx.CreateBucketIfNotExists([]byte(name))
	if err != nil {
		t.fail(err)
		return nil
	}
	b.FillPercent = fillPercent
	t.buckets[name] = b
	return b
}

func (t *txn) fail(err error) {
	if t.err == nil {
		t.err = err
	}
}

func (t *txn) get(bucket string, key []byte) []byte {
	b := t.bucket(bucket)
	if b == nil {
		return nil
	}
	return b.Get(key)
}

// has reports whether a key is there, also where its value is empty.
func (t *txn) has(bucket string, key []byte) bool {
	b := t.bucket(bucket)
	if b == nil {
		return false
	}
	k, _ := b.Cursor().Seek(key)
	return bytes.Equal(k, key)
}

func (t *txn) put(bucket string, key, value []byte) {
	if b := t.bucket(bucket); b != nil {
		t.dirty = true
		if err := b.Put(key, value); err != nil {
			t.fail(err)
		}
		t.note(write{bucket: bucket, key: key, value: value})
	}
}

func (t *txn) del(bucket string, key []byte) {
	if b := t.bucket(bucket); b != nil {
		t.dirty = true
		if err := b.Delete(key); err != nil {
			t.fail(err)
		}
		t.note(write{bucket: bucket, key: key, delete: true})
	}
}

func (t *txn) note(w write) {
	if t.noting {
		t.writes = append(t.writes, w)
	}
}

// add changes a count.
func (t *txn) add(count string, n int64) { t.delta[count] += n }

// count tells a count as this transaction leaves it.
func (t *txn) count(count string) int64 { return t.base[count] + t.delta[count] }

// nextSeq takes the next place in the order of arrival. It is taken in the
// transaction, so that places become visible in their order and no reader that
// has passed one finds a lower one later.
func (t *txn) nextSeq() uint64 {
	b := t.bucket(bucketEvents)
	if b == nil {
		return 0
	}
	seq, err := b.NextSequence()
	if err != nil {
		t.fail(err)
	}
	t.beginBlock(seq)
	return seq
}

// record reads an event's record; nil says that there is none, or none that
// can be read.
func (t *txn) record(seq uint64) *record {
	return readRecord(func() []byte { return t.get(bucketEvents, seqKey(seq)) })
}

// readRecord decodes what get finds. Nil says that it finds nothing, that it
// cannot be decoded, or that the page where it is cannot be read.
func readRecord(get func() []byte) (r *record) {
	var damaged error // or nil: either way there is no record
	defer guard(&damaged, "reading a record", "")
	if v := get(); v != nil {
		r, _ = decodeRecord(v)
	}
	return r
}

// putRecord and delRecord are the only ways in which records change.
func (t *txn) putRecord(seq uint64, r *record) {
	t.put(bucketEvents, seqKey(seq), r.coded())
	t.noteDelivered(seq, r)
}

func (t *txn) delRecord(seq uint64) {
	t.del(bucketEvents, seqKey(seq))
	t.noteDeleted(seq)
}

// flush writes the blocks and the counts that have changed.
func (t *txn) flush() (err error) {
	defer guard(&err, "changing", t.path)
	t.flushBlocks()
	for name, n := range t.delta {
		if n == 0 {
			continue
		}
		if n += t.base[name]; n == 0 {
			t.del(bucketCounts, []byte(name))
			continue
		}
		t.put(bucketCounts, []byte(name), binary.BigEndian.AppendUint64(nil, uint64(n))) // readCounts takes it back
	}
	return t.err
}

// wakeUp has the upstream's consumer woken after the commit.
func (t *txn) wakeUp(upstream string) { t.wake[upstream] = struct{}{} }
