package boltqueue

import (
	"hash/maphash"
	"sync"

	"go.etcd.io/bbolt"
)

// Ids are as good as random, so that each that is put into the bucket of all ids
// changes a page of its own. Those of the newest events are in a bucket in the
// order of arrival instead, and in memory, until there are enough for several to
// share a page; then they are taken to the bucket of all ids, in the order there.
const (
	recentEnough = 16384
	recentSlice  = recentEnough / 32 // ids that one transaction takes there
	recentTrim   = recentEnough / 8  // entries that one transaction deletes thereafter
)

// A recent knows in memory which ids are not in the bucket of all ids yet.
type recent struct {
	enough, slice, trim int
	seeds               [2]maphash.Seed

	mu   sync.RWMutex
	seqs map[idHash]uint64

	// The committing goroutine's.
	moving []recentID // that are still to be taken to the bucket of all ids, in their order
	last   uint64     // the place up to which they have been when none is left, and the entries are to be deleted
	wait   int        // how many ids there must be after a failure
}

// An idHash stands for an id: the map needs no pointers, which the collector would
// follow. Nobody outside knows the seeds, so that two ids do not share one.
type idHash [2]uint64

// A recentID is an id with the time of receipt and the place of its event.
type recentID struct {
	id         string
	receivedAt int64
	seq        uint64
}

// newRecent makes one that is empty. A number of ids that are enough is given in
// tests, and has them taken one by one.
func newRecent(enough int) *recent {
	slice, trim := 1, 1
	if enough <= 0 {
		enough, slice, trim = recentEnough, recentSlice, recentTrim
	}
	return &recent{
		enough: enough, slice: slice, trim: trim, wait: enough,
		seeds: [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()}, seqs: make(map[idHash]uint64),
	}
}

func (r *recent) hash(id string) idHash {
	return idHash{maphash.String(r.seeds[0], id), maphash.String(r.seeds[1], id)}
}

// seq returns the place of the event with the id, or 0 if the id is none of these.
func (r *recent) seq(id string) uint64 {
	h := r.hash(id)
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.seqs[h]
}

func (r *recent) size() int {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return len(r.seqs)
}

// publish takes in what a durable transaction has changed.
func (r *recent) publish(changed map[idHash]uint64) {
	if len(changed) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for h, seq := range changed {
		if seq == 0 {
			delete(r.seqs, h)
		} else {
			r.seqs[h] = seq
		}
	}
}

// read takes in what the file holds.
func (r *recent) read(tx *bbolt.Tx) {
	changed := make(map[idHash]uint64)
	for _, e := range recentIDs(tx) {
		changed[r.hash(e.id)] = e.seq
	}
	r.publish(changed)
}

// recentIDs reads the bucket of recent ids. What stands on a page that cannot be
// read is taken from the events' records.
func recentIDs(tx *bbolt.Tx) (ids []recentID) {
	b, events := tx.Bucket([]byte(bucketRecent)), tx.Bucket([]byte(bucketEvents))
	if b == nil || events == nil {
		return nil
	}
	from := uint64(1)
	for from <= events.Sequence() {
		next, whole := readRecent(b, from, &ids)
		if whole {
			break
		}
		if len(ids) == 0 && from == 1 { // nothing tells where they begin
			next = max(1, events.Sequence()-min(events.Sequence(), 4*recentEnough))
		}
		if r := readRecord(func() []byte { return events.Get(seqKey(next)) }); r != nil {
			ids = append(ids, recentID{id: r.id, receivedAt: r.receivedAt, seq: next})
		}
		from = next + 1
	}
	return ids
}

// readRecent reads recent ids from a place on, to the end or up to a page that
// cannot be read: then it returns the place that it has not come to.
func readRecent(b *bbolt.Bucket, from uint64, ids *[]recentID) (next uint64, whole bool) {
	var damaged error // whole tells
	defer guard(&damaged, "reading ids", "")
	next = from
	cur := b.Cursor()
	for k, v := cur.Seek(recentKey(from)); k != nil; k, v = cur.Next() {
		if seq, ok := parseRecentKey(k); ok && len(v) > 8 {
			receivedAt := int64(parseSeq(v[:8])) // timeKey wrote it
			*ids = append(*ids, recentID{id: string(v[8:]), receivedAt: receivedAt, seq: seq})
			next = seq + 1
		}
	}
	return next, true
}

// recentKey is the key of an event's id among the recent ones. It has a byte more
// than a place, so that a Reader that looks through all pages of a damaged file
// takes none of its elements for a record or a payload.
func recentKey(seq uint64) []byte { return append(seqKey(seq), recentMark) }

const recentMark = 'i'

func parseRecentKey(k []byte) (seq uint64, ok bool) {
	if len(k) != 9 || k[8] != recentMark {
		return 0, false
	}
	seq = parseSeq(k[:8])
	return seq, seq != 0
}

// An idEntry is what is known of an id: the place of its event, or 0 where there
// is none any more, and then when that was received. Of most ids nothing is known.
type idEntry struct {
	seq        uint64
	receivedAt int64
	known      bool
	recent     bool
}

// lookUp tells what is known of an id, given its place among the recent ones, of
// which it must have been read before the transaction began: an id that has left
// them since is in the bucket.
func lookUp(tx *bbolt.Tx, id string, recent uint64) idEntry {
	if recent != 0 {
		return idEntry{seq: recent, known: true, recent: true}
	}
	v := tx.Bucket([]byte(bucketIDs)).Get([]byte(id))
	receivedAt, seq := parseTimeSeq(v)
	return idEntry{seq: seq, receivedAt: receivedAt, known: v != nil}
}

// lookUp tells what is known of an id as this transaction leaves it.
func (t *txn) lookUp(id string) idEntry {
	t.bucket(bucketIDs) // which a damaged file may lack
	if t.err != nil {
		return idEntry{}
	}
	return lookUp(t.tx, id, t.recentSeq(id))
}

func (t *txn) recentSeq(id string) uint64 {
	if seq, ok := t.renamed[t.recent.hash(id)]; ok {
		return seq
	}
	return t.recent.seq(id)
}

// setName has an id stand for an event.
func (t *txn) setName(r *record, seq uint64) {
	t.put(bucketRecent, recentKey(seq), append(timeKey(r.receivedAt), r.id...))
	t.rename(r.id, seq)
}

// endName has the id of an event that is deleted stand for none, and be remembered
// until the dedupe window ends.
func (t *txn) endName(r *record, seq uint64) {
	if key := recentKey(seq); t.get(bucketRecent, key) != nil {
		t.del(bucketRecent, key)
		t.rename(r.id, 0)
	}
	if t.forgotten(r.receivedAt) {
		t.del(bucketIDs, []byte(r.id))
		return
	}
	t.put(bucketIDs, []byte(r.id), timeSeqKey(r.receivedAt, 0))
	t.put(bucketHusks, append(timeKey(r.receivedAt), r.id...), nil)
}

// forgetName deletes an id that is remembered without event.
func (t *txn) forgetName(id []byte, receivedAt int64) {
	t.del(bucketHusks, append(timeKey(receivedAt), id...))
	t.del(bucketIDs, id)
}

func (t *txn) rename(id string, seq uint64) {
	if t.renamed == nil {
		t.renamed = make(map[idHash]uint64)
	}
	t.renamed[t.recent.hash(id)] = seq
}
