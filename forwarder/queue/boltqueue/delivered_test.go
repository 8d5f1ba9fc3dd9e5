package boltqueue

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// soundBlocks returns an error unless the blocks say of their events just what
// the records say, and none is left out from the first that is told of.
func soundBlocks(tx *bbolt.Tx) error {
	events := tx.Bucket([]byte(bucketEvents))
	want := make(map[uint64]delivered)
	for c, k, v := first(events); k != nil; k, v = c.Next() {
		r, err := decodeRecord(v)
		if err != nil {
			return err
		}
		seq := parseSeq(k)
		l := want[blockOf(seq)]
		if r.forNobody() {
			l.set(nobody, seq, true)
		}
		for _, d := range r.deliveries {
			if d.state == queue.Delivered {
				l.set(d.upstream, seq, true)
			}
		}
		want[blockOf(seq)] = l
	}
	blocks := tx.Bucket([]byte(bucketDelivered))
	if blocks == nil {
		return nil // a file in which nothing has been stored
	}
	begun, told := false, uint64(0)
	for c, k, v := first(blocks); k != nil; k, v = c.Next() {
		n := parseSeq(append([]byte{0}, k...))
		got, ok := decodedDelivered(k, v)
		if !ok {
			return fmt.Errorf("block %d is damaged", n)
		}
		if !slices.Equal(got, want[n]) {
			return fmt.Errorf("block %d tells of %+v, and delivered are %+v", n, got, want[n])
		}
		if want[n] == nil && !hasEvents(events, n) && blockOf(events.Sequence()+1) != n {
			return fmt.Errorf("block %d is told of and has no events", n)
		}
		if !begun {
			begun, told = true, n
		}
		delete(want, n)
	}
	for n := range want {
		if begun && n > told {
			return fmt.Errorf("block %d is not told of", n)
		}
	}
	return nil
}

func first(b *bbolt.Bucket) (c *bbolt.Cursor, k, v []byte) {
	c = b.Cursor()
	k, v = c.First()
	return c, k, v
}

func hasEvents(events *bbolt.Bucket, n uint64) bool {
	k, _ := events.Cursor().Seek(seqKey(blockBegin(n)))
	return k != nil && blockOf(parseSeq(k)) == n
}

// A blockChecker is a queue whose blocks and ids are checked whenever it is asked
// for its counts, as the model does after each operation.
type blockChecker struct{ *Queue }

func (c blockChecker) Stats() (queue.Stats, error) {
	err := c.view(func(tx *bbolt.Tx) error { return errors.Join(soundBlocks(tx), soundNames(tx)) })
	if err != nil {
		return queue.Stats{}, err
	}
	return c.Queue.Stats()
}

var checked atomic.Uint64

// checkBlocks has an engine's blocks checked. In two of three engines the first
// events are the last of a block that the file does not tell of, as in a file
// that is older than blocks are.
func checkBlocks(t testing.TB, e *queuetest.Engine) *queuetest.Engine {
	t.Helper()
	q := e.Queue.(*Queue)
	if n := checked.Add(1); n%3 > 0 {
		if err := q.do(t.Context(), func(t *txn) error {
			t.dirty = true
			return t.bucket(bucketEvents).SetSequence(blockSize - n%3*(1+n%5))
		}); err != nil {
			t.Fatal(err)
		}
	}
	e.Queue = blockChecker{q}
	reopen, crash := e.Reopen, e.Crash
	e.Reopen = func(s queue.Settings) queue.Queue { return blockChecker{reopen(s).(*Queue)} }
	e.Crash = func(s queue.Settings) queue.Queue { return blockChecker{crash(s).(*Queue)} }
	return e
}

// tellsOf reports whether the file tells of a block.
func tellsOf(t *testing.T, q *Queue, n uint64) (told bool) {
	t.Helper()
	if err := q.view(func(tx *bbolt.Tx) error {
		told = readBlock(tx, n).known
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return told
}

// wantTold checks which blocks the file tells of, up to the one with the number
// of the last of those given.
func wantTold(t *testing.T, q *Queue, want ...bool) {
	t.Helper()
	for n, w := range want {
		if got := tellsOf(t, q, uint64(n)); got != w {
			t.Errorf("the file tells of block %d: %t, want %t", n, got, w)
		}
	}
	if err := q.view(soundBlocks); err != nil {
		t.Error(err)
	}
}

func allDelivered(int) map[string]queue.State {
	return map[string]queue.State{"ehr": queue.Delivered}
}

// removeFrom deletes the events from a place on, up to another.
func removeFrom(t *testing.T, q *Queue, from, to uint64) {
	t.Helper()
	change(t, q, func(t *txn) {
		for seq := from; seq < to; seq++ {
			if r := t.record(seq); r != nil {
				t.remove(seq, r)
			}
		}
	})
}

func TestBlocksBeginAndEnd(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	q := mustOpen(t, o)
	wantTold(t, q, false)
	fill(t, q, 1, allDelivered)
	wantTold(t, q, true, false)
	removeFrom(t, q, 1, 2)
	wantTold(t, q, true, false) // more are to come in it
	fill(t, q, blockSize-2, allDelivered)
	wantTold(t, q, true, false)
	removeFrom(t, q, 1, blockSize)
	wantTold(t, q, false, false)
	fill(t, q, 2*blockSize+5, allDelivered)
	mustClose(t, q)
	q = mustOpen(t, o)
	wantTold(t, q, false, true, true, true, false)
	removeFrom(t, q, blockSize, 2*blockSize-1)
	wantTold(t, q, false, true, true, true, false)
	removeFrom(t, q, 2*blockSize-1, 2*blockSize+7)
	wantTold(t, q, false, false, true, true, false)
}

// A file from before there were blocks is listed as it always was, and is told
// of from the next block on.
func TestBlocksOfAnOlderFile(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
	half := func(i int) map[string]queue.State {
		return map[string]queue.State{"ehr": []queue.State{queue.Pending, queue.Delivered}[i/700%2]}
	}
	fill(t, q, 2500, half)
	change(t, q, func(t *txn) {
		t.dirty = true
		t.fail(t.tx.DeleteBucket([]byte(bucketDelivered)))
		delete(t.buckets, bucketDelivered)
	})
	wantTold(t, q, false, false, false)
	wantListings(t, q, 1)
	settleSome(t, q, 3)
	wantTold(t, q, false, false, false)
	wantListings(t, q, 2)
	change(t, q, func(t *txn) {
		for i := range 2000 {
			fillOne(t, half(i))
		}
	})
	wantTold(t, q, false, false, false, true, true)
	wantListings(t, q, 3)
	removeFrom(t, q, 1, 2*blockSize)
	wantTold(t, q, false, false, false, true, true)
	wantListings(t, q, 4)
}

// settleSome delivers each of so many events that is pending for ehr.
func settleSome(t *testing.T, q *Queue, each uint64) {
	t.Helper()
	change(t, q, func(t *txn) {
		for seq := each; seq <= t.bucket(bucketEvents).Sequence(); seq += each {
			if r := t.record(seq); r != nil && r.delivery("ehr").state == queue.Pending {
				t.settle(seq, r, r.delivery("ehr"), &queue.Outcome{State: queue.Delivered, Result: queue.Success})
			}
		}
	})
}

// A block that is damaged, or stands in another's place, hides nothing, and what
// changes in it changes as before.
func TestDamagedBlock(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(t *txn, key []byte){
		"a flipped bit": func(t *txn, key []byte) {
			v := slices.Clone(t.get(bucketDelivered, key))
			v[len(v)/2] ^= 4
			t.put(bucketDelivered, key, v)
		},
		"nothing":         func(t *txn, key []byte) { t.put(bucketDelivered, key, nil) },
		"gone":            func(t *txn, key []byte) { t.del(bucketDelivered, key) },
		"another version": func(t *txn, key []byte) { t.put(bucketDelivered, key, []byte{2, 0, 0, 0, 0}) },
		"the one before it": func(t *txn, key []byte) {
			t.put(bucketDelivered, key, slices.Clone(t.get(bucketDelivered, blockKey(0))))
		},
		"moved": func(t *txn, key []byte) {
			v := slices.Clone(t.get(bucketDelivered, key))
			t.del(bucketDelivered, key)
			t.put(bucketDelivered, blockKey(77), v)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
			fill(t, q, 3*blockSize, func(i int) map[string]queue.State {
				return map[string]queue.State{"ehr": []queue.State{queue.Delivered, queue.Pending, queue.Dead}[i%100%3]}
			})
			change(t, q, func(t *txn) { damage(t, blockKey(1)) })
			wantListings(t, q, 1)
			settleSome(t, q, 5)
			wantListings(t, q, 2)
			removeFrom(t, q, blockSize+100, blockSize+200)
			wantListings(t, q, 3)
			if tellsOf(t, q, 1) || !tellsOf(t, q, 0) || !tellsOf(t, q, 2) {
				t.Error("what is in the block was made up, or others are damaged")
			}
			removeFrom(t, q, blockSize, 2*blockSize)
			wantListings(t, q, 4)
			if err := q.view(func(tx *bbolt.Tx) error {
				if tx.Bucket([]byte(bucketDelivered)).Get(blockKey(1)) != nil {
					t.Error("the block is there after its events have gone")
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// A page of blocks that cannot be read hides nothing, and holds up nothing that
// is stored, settled or deleted.
func TestDamagedPageOfBlocks(t *testing.T) {
	t.Parallel()
	const n = 18
	// Long names, so that it takes few blocks to fill some pages.
	long, longer := strings.Repeat("u", maxUpstream-1), strings.Repeat("u", maxUpstream)
	some := func(i int) map[string]queue.State {
		return map[string]queue.State{"ehr": []queue.State{queue.Pending, queue.Delivered}[i%300/299], long: queue.Delivered, longer: queue.Delivered}
	}
	base := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: base, Settings: queue.DefaultSettings()}
	q := mustOpen(t, o)
	fill(t, q, n*blockSize-1, some)
	mustClose(t, q)
	for name, at := range map[string]uint64{"the first": 0, "one in the middle": n / 2, "the last": n - 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			failed := make(chan error, 100)
			o := Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), OnFailure: func(err error) { failed <- err }}
			copyFile(t, base, o.Path)
			copyFile(t, keyFile(base), keyFile(o.Path))
			damagePage(t, o.Path, bucketDelivered, blockKey(at))
			q := mustOpen(t, o)
			unknown := 0
			for block := range uint64(n) {
				if !tellsOf(t, q, block) {
					unknown++
				}
			}
			if unknown == 0 || unknown > n/2 {
				t.Fatalf("%d of %d blocks are unknown, want those of one page", unknown, n)
			}
			wantListings(t, q, 1)
			settleSome(t, q, 500)
			removeFrom(t, q, blockBegin(at)+3, blockBegin(at)+20)
			change(t, q, func(t *txn) {
				for i := range 2 * blockSize {
					fillOne(t, some(i))
				}
			})
			wantListings(t, q, 2)
			removeFrom(t, q, 1, (n+1)*blockSize)
			wantListings(t, q, 3)
			select {
			case err := <-failed:
				t.Errorf("a commit failed: %v", err)
			default:
			}
		})
	}
}

// Where a page of an index cannot be read, all events are read instead.
func TestListingWithADamagedIndex(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "queue.db")
	o := Options{Path: path, Settings: queue.DefaultSettings()}
	q := mustOpen(t, o)
	fill(t, q, 2000, func(i int) map[string]queue.State {
		return map[string]queue.State{"ehr": []queue.State{queue.Pending, queue.Delivered, queue.Dead}[i/100%3]}
	})
	mustClose(t, q)
	damagePage(t, path, prefixFirst+"ehr", seqKey(1000))
	damagePage(t, path, prefixDead+"ehr", seqKey(500))
	wantListings(t, mustOpen(t, o), 1)
}
