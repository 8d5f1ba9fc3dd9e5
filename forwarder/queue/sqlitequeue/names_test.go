package sqlitequeue

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/memtable"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Names with the same hash are distinguished, in memory and in the table.
func TestNamesWithOneHash(t *testing.T) {
	t.Parallel()
	q, _ := openNew(t)
	for _, id := range []string{"a", "b", "c"} {
		put(t, q, id, "ehr")
	}
	a, b := tables.HashOfID("a"), tables.HashOfID("new")
	err := q.do(t.Context(), func(tx *tx) error {
		for _, hash := range []int64{a, b} {
			for _, d := range take(t, q, "ehr", 10) { // of each event, and of one that no longer exists
				if err := tx.exec(`INSERT OR IGNORE INTO name (hash, seq) VALUES (?, ?), (?, 12345)`, hash, seqOf(d), hash); err != nil {
					return err
				}
				q.Release(d)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range take(t, q, "ehr", 10) {
		for _, hash := range []int64{a, b, tables.HashOfSubject("subject-a"), tables.HashOfSubject("subject-new")} {
			q.names.Add(tables.Name{Hash: hash, Seq: seqOf(d)})
		}
		q.Release(d)
	}
	for _, id := range []string{"a", "b", "c"} {
		if r, err := q.Event(t.Context(), id); err != nil || r.ID != id {
			t.Errorf("Event(%s): %+v, %v", id, r, err)
		}
		if p, err := q.Events(t.Context(), queue.Filter{Subject: "subject-" + id, Limit: 10}); err != nil || len(p.Records) != 1 || p.Records[0].ID != id {
			t.Errorf("by the subject of %s: %+v, %v", id, p, err)
		}
	}
	if _, err := q.Event(t.Context(), "new"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Event(new): %v", err)
	}
	put(t, q, "new", "ehr") // not a duplicate
	if n, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{"a"}, Force: true}); n != 1 || err != nil {
		t.Errorf("Purge: %d, %v", n, err)
	}
	for id, there := range map[string]bool{"a": false, "b": true, "c": true, "new": true} {
		if _, err := q.Event(t.Context(), id); (err == nil) != there {
			t.Errorf("Event(%s): %v", id, err)
		}
	}
}

// If the process is killed at any moment while names move to their table, the store
// finds every event by its id and its subject, and no purged event.
func TestNamesMoveToTheirTable(t *testing.T) {
	t.Parallel()
	q, d := openNew(t)
	q.names = memtable.NewNames(30)
	var ids, gone []string
	copies := 0
	inTable := func() (n int64) {
		err := q.readers.With(t.Context(), func(c *tables.Conn) (err error) {
			n, err = c.Number(`SELECT count(*) FROM name`)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	moving := 0
	for i := range 120 {
		id := fmt.Sprint("e", i)
		put(t, q, id, "ehr")
		ids = append(ids, id)
		if i%9 == 8 { // often while its name is in the batch
			id := ids[i-8]
			if _, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{id}, Force: true}); err != nil {
				t.Fatal(err)
			}
			gone = append(gone, id)
		}
		var batch int
		if err := q.do(t.Context(), func(*tx) error { _, batch = q.names.Len(); return nil }); err != nil {
			t.Fatal(err)
		}
		if batch == 0 && i%10 > 0 {
			continue
		}
		if batch > 0 {
			moving++
		}
		copies++
		q2 := mustOpen(t, Options{Path: crash(t, q, d), Settings: queue.DefaultSettings()})
		wantFound(t, q2, ids, gone)
		wantFound(t, q, ids, gone)
		mustClose(t, q2)
	}
	if n := inTable(); moving < 10 || n < 100 {
		t.Errorf("%d copies in the middle of a batch, %d names in the table: the test needs more of both", moving, n)
	}
}

func wantFound(t *testing.T, q *Queue, ids, gone []string) {
	t.Helper()
	for _, id := range ids {
		there := !slices.Contains(gone, id)
		if r, err := q.Event(t.Context(), id); (err == nil) != there || there && r.ID != id {
			t.Fatalf("Event(%s): %+v, %v", id, r, err)
		}
		if p, err := q.Events(t.Context(), queue.Filter{Subject: "subject-" + id, Limit: 10}); err != nil || len(p.Records) != 1 != !there {
			t.Fatalf("by the subject of %s: %+v, %v", id, p, err)
		}
	}
}

// No name remains of an event that became a tombstone, and none of a tombstone that was
// deleted.
func TestNamesAreDeleted(t *testing.T) {
	t.Parallel()
	for _, many := range []int{1, memtable.ManyNames} { // in the table, and in memory
		t.Run(fmt.Sprint(many), func(t *testing.T) {
			t.Parallel()
			clock := queuetest.NewClock()
			s := queue.Settings{DedupeWindow: 2 * time.Hour, HistoryRetention: time.Hour, DeadRetention: time.Hour}
			q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: s, Now: clock.Now, Elapsed: clock.Elapsed})
			q.names = memtable.NewNames(many)
			names := func() (n int64) {
				t.Helper()
				flush(t, q)
				err := q.do(t.Context(), func(tx *tx) (err error) {
					n, err = tx.c.Number(`SELECT count(*) FROM name`)
					all, _ := q.names.Len()
					n += int64(all)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return n
			}
			for i := range 20 {
				putItem(t, q, queue.Item{Event: queuetest.Event(fmt.Sprint(i), clock.Now()), Upstreams: []string{"ehr"}})
			}
			if n := names(); n != 40 {
				t.Errorf("%d names of 20 events", n)
			}
			for i, d := range take(t, q, "ehr", 20) {
				q.Settle(outcomeOf(q, d, []queue.State{queue.Delivered, queue.Dead}[i%2]))
			}
			flush(t, q)
			clock.Advance(s.HistoryRetention + time.Minute)
			sweep(t, q)
			if n := names(); n != 20 {
				t.Errorf("%d names of 20 tombstones", n)
			}
			clock.Advance(s.DedupeWindow)
			sweep(t, q)
			if n := names(); n != 0 {
				t.Errorf("%d names without events", n)
			}
		})
	}
}
