package sqlitequeue

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/memtable"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// After a crash before filing, the events are unchanged.
func TestCrashBeforeFiling(t *testing.T) {
	t.Parallel()
	q, d := openNew(t)
	put(t, q, "filed", "ehr")
	q.Settle(outcomeOf(q, take(t, q, "ehr", 1)[0], queue.Dead))
	flush(t, q)
	keepUnfiled(q)
	filed := q.counts()
	put(t, q, "a", "ehr", "lab")
	put(t, q, "b", "lab")
	put(t, q, "nobody")
	putItem(t, q, queue.Item{Event: queuetest.Event("quarantined", time.Now()), State: queue.Quarantined, Reason: "it is empty"})
	putItem(t, q, queue.Item{Event: queuetest.Event("unrouted", time.Now()), State: queue.Unrouted})
	want := make(map[string]string)
	ids := []string{"a", "b", "nobody", "quarantined", "unrouted"}
	for _, id := range append(ids, "filed") {
		want[id] = text(t, q, id)
	}
	stored := q.counts()
	settled := take(t, q, "ehr", 1)[0]
	q.Settle(outcomeOf(q, settled, queue.Delivered))
	eventually(t, "the outcome is recorded", func() bool { return q.counts()[policy.Counter{Kind: policy.CountFirst, Name: "ehr"}] == 0 })
	if q.unfiled.Len() != len(ids) {
		t.Fatalf("%d events are unfiled, want %d", q.unfiled.Len(), len(ids))
	}
	path := crash(t, q, d)

	c, err := tables.OpenReader(path)
	if err != nil {
		t.Fatal(err)
	}
	m, err := tables.ReadMeta(c)
	if err != nil || !maps.Equal(m.Counts, filed) {
		t.Errorf("on disk the counts are %v, %v; want those of the filed event, %v", m.Counts, err, filed)
	}
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	q2 := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	if !maps.Equal(q2.counts(), stored) {
		t.Errorf("the counts are %v, want %v", q2.counts(), stored)
	}
	for id, want := range want {
		if got := text(t, q2, id); got != want {
			t.Errorf("%s is %s, want %s", id, got, want)
		}
		subject := queuetest.Event(id, time.Now()).Subject
		if p, err := q2.Events(t.Context(), queue.Filter{Subject: subject, Limit: 10}); err != nil || len(p.Records) != 1 || p.Records[0].ID != id {
			t.Errorf("by its subject %s is %+v, %v", id, p, err)
		}
		if r, err := q2.Store(t.Context(), queue.Item{Event: queuetest.Event(id, time.Now())}); err != nil || !r.Duplicate {
			t.Errorf("Store(%s): %+v, %v", id, r, err)
		}
	}
	if n := len(take(t, q2, "ehr", 10)); n != 1 {
		t.Errorf("%d deliveries to ehr", n)
	}
	if n := len(take(t, q2, "lab", 10)); n != 2 {
		t.Errorf("%d deliveries to lab", n)
	}
	wantCounts(t, q2)
}

func text(t testing.TB, q *Queue, id string) string {
	t.Helper()
	r, err := q.Event(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%+v", r)
}

// The outcomes of unfiled events are durable after a flush, and after Close.
func TestOutcomesOfUnfiledEventsAreDurable(t *testing.T) {
	t.Parallel()
	q, d := openNew(t)
	for i, end := range []func() string{
		func() string { flush(t, q); return crash(t, q, d) },
		func() string { mustClose(t, q); return q.path },
	} {
		keepUnfiled(q)
		ids := putMany(t, q, fmt.Sprint(i, "-"), 10, "ehr")
		for i, d := range take(t, q, "ehr", 20) {
			q.Settle(outcomeOf(q, d, []queue.State{queue.Delivered, queue.Dead, queue.Pending}[i%3]))
		}
		q2 := mustOpen(t, Options{Path: end(), Settings: queue.DefaultSettings()})
		states := make(map[queue.State]int)
		for _, id := range ids {
			r, err := q2.Event(t.Context(), id)
			if err != nil || r.Deliveries[0].Attempts != 1 || r.HasPayload == (r.State == queue.Delivered) {
				t.Errorf("%s: %+v, %v", id, r, err)
			}
			states[r.State]++
		}
		if !maps.Equal(states, map[queue.State]int{queue.Delivered: 4, queue.Dead: 3, queue.Pending: 3}) {
			t.Errorf("%v", states)
		}
		wantCounts(t, q2)
	}
}

// Events that cannot be filed delay neither later stores nor outcomes, and are filed
// when it is possible again.
func TestFilingFails(t *testing.T) {
	t.Parallel()
	var statement atomic.Pointer[string] // executed by transactions until it has an effect
	var triggers atomic.Int64            // after the statement
	var unfiled atomic.Int64
	var q *Queue
	q = mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(),
		fault: func(string) error {
			s := statement.Load()
			if s == nil {
				return nil
			}
			n, err := q.writing.Number(`SELECT count(*) FROM temp.sqlite_schema`)
			if err != nil || n == triggers.Load() {
				statement.Store(nil)
				return err
			}
			return q.writing.Run(*s) // undone if the transaction writes nothing else
		},
		OnFailure: func(err error) {
			if errors.Is(err, errUnfiled) {
				unfiled.Add(1)
			}
		},
	})
	ids := []string{"0", "1", "2", "3", "4"}
	execute := func(text string, left int64, id string) {
		t.Helper()
		triggers.Store(left)
		statement.Store(&text)
		for i := 0; statement.Load() != nil; i++ {
			ids = append(ids, fmt.Sprint(id, i))
			put(t, q, ids[len(ids)-1], "ehr")
		}
	}
	execute(`CREATE TEMP TRIGGER IF NOT EXISTS broken BEFORE INSERT ON main.event BEGIN SELECT RAISE(ABORT, 'a damaged page'); END`, 1, "first")
	for i := range 5 {
		time.Sleep(memtable.FileAfter + 10*time.Millisecond) // so that there are events to file
		for _, d := range take(t, q, "ehr", 100) {
			q.Settle(outcomeOf(q, d, queue.Delivered)) // in a batch of its own
		}
		time.Sleep(memtable.FileAfter / 2)
		put(t, q, fmt.Sprint(i), "ehr")
	}
	// A failure to file within the commit of another change is not reported, and filing
	// is postponed.
	eventually(t, "filing has failed", func() bool { return unfiled.Load() > 0 })
	execute(`DROP TRIGGER IF EXISTS broken`, 0, "last")
	for _, d := range take(t, q, "ehr", 100) {
		q.Settle(outcomeOf(q, d, queue.Delivered))
	}
	for _, id := range ids {
		eventually(t, id+" is delivered and filed", func() bool {
			r, err := q.Event(t.Context(), id)
			return err == nil && r.State == queue.Delivered && q.unfiled.Len() == 0
		})
	}
	if n := q.countUnreadable(); n > 0 {
		t.Errorf("%d events count as damaged", n)
	}
	wantCounts(t, q)
}

// While nothing can be written, filing is not retried all the time.
func TestFilingIsPostponed(t *testing.T) {
	t.Parallel()
	failures := make(chan error, 10_000)
	d := &failingDisk{}
	q := mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), fault: d.fault, OnFailure: func(err error) { failures <- err }})
	for n := 0; ; n++ {
		put(t, q, fmt.Sprint("a", n), "ehr")
		if d.Store(true); q.unfiled.Len() > 0 { // unless it was filed in between
			break
		}
		d.Store(false)
	}
	time.Sleep(memtable.FileAfter + 2*refileAfter)
	if n := len(failures); n == 0 || n > 50 {
		t.Errorf("filing failed %d times", n)
	}
	d.Store(false)
	eventually(t, "the event is filed", func() bool { return q.unfiled.Len() == 0 })
}

// A listing contains every event that was stored before it exactly once, even if events
// are filed meanwhile.
func TestListingWhileFiling(t *testing.T) {
	t.Parallel()
	q, _ := openNew(t)
	var mu sync.Mutex
	var stored []string
	end := make(chan struct{})
	var wg sync.WaitGroup
	for w := range 4 {
		wg.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-end:
					return
				default:
				}
				id := fmt.Sprint(w, "-", i)
				put(t, q, id, "ehr")
				mu.Lock()
				stored = append(stored, id)
				mu.Unlock()
			}
		})
	}
	filters := []queue.Filter{{}, {State: queue.Pending}, {Upstream: "ehr"}, {Type: "note.generated"}}
	for i := range 60 {
		mu.Lock()
		want := slices.Clone(stored[max(0, len(stored)-2000):])
		mu.Unlock()
		f := filters[i%len(filters)]
		f.Limit = []int{7, 100, 1000}[i%3]
		listed := make(map[string]bool)
		for len(listed) < 5000 {
			p, err := q.Events(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range p.Records {
				if listed[r.ID] {
					t.Fatalf("%+v: %s is listed twice", f, r.ID)
				}
				listed[r.ID] = true
			}
			if f.Cursor = p.Next; f.Cursor == "" {
				break
			}
		}
		for _, id := range want {
			if !listed[id] && len(listed) < 5000 {
				t.Fatalf("%+v: %s is not among the %d listed events", f, id, len(listed))
			}
		}
	}
	close(end)
	wg.Wait()
}

// The newest event was purged, and the clock shows the time of its receipt again: the next
// event survives a crash before it is filed.
func TestCrashAfterAPurgeOfTheNewestEvent(t *testing.T) {
	t.Parallel()
	q, d := openNew(t)
	at := time.Now()
	store := func(q *Queue, id string) {
		t.Helper()
		putItem(t, q, queue.Item{Event: queuetest.Event(id, at), Upstreams: []string{"ehr"}})
	}
	store(q, "purged")
	if n, err := q.Purge(t.Context(), queue.PurgeSelection{IDs: []string{"purged"}, Force: true}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	mustClose(t, q)
	q = mustOpen(t, Options{Path: q.path, Settings: queue.DefaultSettings(), fault: d.fault})
	flush(t, q)
	keepUnfiled(q)
	store(q, "a")
	q2 := mustOpen(t, Options{Path: crash(t, q, d), Settings: queue.DefaultSettings()})
	if ds := take(t, q2, "ehr", 10); len(ds) != 1 || ds[0].EventID != "a" {
		t.Errorf("claimed %+v, want the event", ds)
	}
}
