package boltqueue

import (
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// soundNames returns an error unless every event is told of by its id, and no id
// tells of an event that is none.
func soundNames(tx *bbolt.Tx) error {
	named := make(map[uint64]string)
	for _, e := range recentIDs(tx) {
		named[e.seq] = e.id
	}
	for c, k, v := first(tx.Bucket([]byte(bucketIDs))); k != nil; k, v = c.Next() {
		_, seq := parseTimeSeq(v)
		if seq == 0 {
			continue
		}
		if id, ok := named[seq]; ok && id != string(k) {
			return fmt.Errorf("the event at %d is named %s and %s", seq, id, k)
		}
		named[seq] = string(k)
	}
	for c, k, v := first(tx.Bucket([]byte(bucketEvents))); k != nil; k, v = c.Next() {
		r, err := decodeRecord(v)
		if err != nil {
			return err
		}
		if id := named[parseSeq(k)]; id != r.id {
			return fmt.Errorf("the event %s at %d is named %q", r.id, parseSeq(k), id)
		}
		delete(named, parseSeq(k))
	}
	if len(named) > 0 {
		return fmt.Errorf("ids without event: %v", named)
	}
	return nil
}

// stageOf tells where an id is: in memory and among the recent ones, just among
// those, or neither.
func stageOf(t *testing.T, q *Queue, id string) string {
	t.Helper()
	stage := "indexed"
	if err := q.view(func(tx *bbolt.Tx) error {
		for _, e := range recentIDs(tx) {
			if e.id == id {
				stage = "left"
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if q.recent.seq(id) != 0 {
		stage = "recent"
	}
	return stage
}

// An event is found, is a duplicate, and expires, wherever its id is on its way to
// the bucket of all ids, also after a restart; and then its id is remembered.
func TestRecentIDs(t *testing.T) {
	t.Parallel()
	const enough = 8
	stages := []string{"recent", "left", "indexed"}
	for at, want := range stages {
		t.Run(want, func(t *testing.T) {
			t.Parallel()
			o := Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), Now: queuetest.NewClock().Now, recent: enough}
			o.Settings.HistoryRetention = 0
			q := mustOpen(t, o)
			for i := range enough - 1 + min(at, 1) {
				store(t, q, fmt.Sprint("e", i), "ehr")
			}
			waitUntil(t, func() bool { idle(t, q); return stageOf(t, q, "e0") == want })
			check := func(q *Queue, want bool) {
				t.Helper()
				if _, err := q.Event(t.Context(), "e0"); (err == nil) != want || err != nil && !errors.Is(err, queue.ErrNotFound) {
					t.Errorf("Event: %v", err)
				}
				r, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event("e0", time.Unix(1773934200, 0)), Upstreams: []string{"ehr"}})
				if !r.Duplicate || err != nil {
					t.Errorf("Store: %+v, %v, want a duplicate", r, err)
				}
				wantSound(t, q)
			}
			check(q, true)
			mustClose(t, q)
			q = mustOpen(t, o)
			check(q, true)
			q.Settle(queue.Outcome{Delivery: claim(t, q, "ehr", 1)[0], State: queue.Delivered, Result: queue.Success})
			flush(t, q)
			sweep(t, q)
			check(q, false)
			for range 4 * enough { // what is under way comes to its end, and does not bring it back
				idle(t, q)
			}
			check(q, false)
			mustClose(t, q)
			check(mustOpen(t, o), false)
		})
	}
}

// An id that was forgotten is one that nothing is known of, and may be taken again.
func TestRecentIDTakenAgain(t *testing.T) {
	t.Parallel()
	for _, enough := range []int{1, 100} {
		q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), recent: enough})
		for range 3 {
			store(t, q, "again", "ehr")
			for range 4 {
				idle(t, q)
			}
			if n, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{"again"}, Force: true}); n != 1 || err != nil {
				t.Fatalf("Purge: %d, %v", n, err)
			}
			wantSound(t, q)
		}
	}
}

// TestRecentIDsWhileTheyLeave looks for ids all the time, while others come.
func TestRecentIDsWhileTheyLeave(t *testing.T) {
	t.Parallel()
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), recent: 2})
	var stored atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for i := int64(0); ; i++ {
				select {
				case <-done:
					return
				default:
				}
				n := stored.Load()
				if n == 0 {
					continue
				}
				id := fmt.Sprint("e", n-1-i%min(n, 8))
				if q.unheardOf(id) {
					t.Errorf("nothing is known of %s", id)
				}
			}
		})
	}
	for i := range 150 {
		store(t, q, fmt.Sprint("e", i), "ehr")
		idle(t, q)
		stored.Add(1)
	}
	close(done)
	wg.Wait()
	wantSound(t, q)
	if n := q.recent.size(); n > 75 {
		t.Errorf("%d of 150 ids are recent", n)
	}
}

// Where ids cannot be taken to the bucket of all, they stay where they are, and
// are taken there later.
func TestRecentIDsThatCannotLeave(t *testing.T) {
	t.Parallel()
	const enough = 10
	var failing atomic.Bool
	var failed atomic.Int64
	q := mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), recent: enough,
		fault: func(stage string) error {
			if stage == beforeReserve && failing.Load() {
				failed.Add(1)
				return errors.New("no space left on device")
			}
			return nil
		},
	})
	for i := range enough - 1 {
		store(t, q, fmt.Sprint("e", i), "ehr")
	}
	failing.Store(true)
	put(t, q, "last", "ehr")
	waitUntil(t, func() bool { return failed.Load() > 2 })
	failing.Store(false)
	waitUntil(t, func() bool { idle(t, q); return q.recent.seq("last") != 0 })
	for i := range 3 * enough {
		store(t, q, fmt.Sprint("later", i), "ehr")
	}
	waitUntil(t, func() bool { idle(t, q); return stageOf(t, q, "e0") == "indexed" })
	wantSound(t, q)
}

// A page of recent ids that cannot be read keeps no gateway from starting, and no
// duplicate from being known.
func TestDamagedRecentIDs(t *testing.T) {
	t.Parallel()
	const n = 400
	for _, seq := range []uint64{1, n / 2} {
		o := Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings()}
		q := mustOpen(t, o)
		for i := range n {
			put(t, q, fmt.Sprint("e", i), "ehr")
		}
		mustClose(t, q)
		damagePage(t, o.Path, bucketRecent, recentKey(seq))
		o.recent = n / 4 // so that they are to leave, and the page is come upon
		q = mustOpen(t, o)
		for i := range n {
			id := fmt.Sprint("e", i)
			if _, err := q.Event(t.Context(), id); err != nil {
				t.Fatalf("with the page of %d damaged: %v", seq, err)
			}
			r, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event(id, time.Unix(1773934200, 0)), Upstreams: []string{"ehr"}})
			if err != nil || !r.Duplicate {
				t.Fatalf("with the page of %d damaged, Store(%s): %+v, %v", seq, id, r, err)
			}
		}
		for i := range n {
			put(t, q, fmt.Sprint("later", i), "ehr")
			idle(t, q)
		}
		waitUntil(t, func() bool { q.catchUp(t.Context()); return !q.journal.behind() })
		if got := len(claim(t, q, "ehr", 3*n)); got != 2*n {
			t.Errorf("with the page of %d damaged, %d can be claimed, want %d", seq, got, 2*n)
		}
	}
}
