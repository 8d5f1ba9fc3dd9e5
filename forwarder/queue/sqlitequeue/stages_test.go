package sqlitequeue

import (
	"bytes"
	"errors"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/storetest"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	completion = "<soapnoteapi https://soapnoteapi.com"
	cleanup    = ">soapnoteapi https://soapnoteapi.com"
)

// completedBy returns the outcome of a completion by which the event has n more bytes.
func completedBy(t testing.TB, q *Queue, d queue.Delivery, n int) queue.Outcome {
	t.Helper()
	e, err := q.Load(d)
	if err != nil {
		t.Fatalf("Load(%s): %v", d.EventID, err)
	}
	c := *e
	c.Body = append(bytes.Clone(e.Body), bytes.Repeat([]byte("x"), n)...)
	return queue.Outcome{Delivery: d, At: q.now(), Result: queue.Success, Status: 200, Used: true, State: queue.Delivered, Event: &c}
}

// takeOne claims the delivery of the only event that is due.
func takeOne(t testing.TB, q *Queue, upstream, id string) queue.Delivery {
	t.Helper()
	ds := take(t, q, upstream, 10)
	if len(ds) != 1 || ds[0].EventID != id {
		t.Fatalf("claimed %+v for %s, want %s", ds, upstream, id)
	}
	return ds[0]
}

func wantNone(t testing.TB, q *Queue, upstreams ...string) {
	t.Helper()
	for _, u := range upstreams {
		if ds := take(t, q, u, 10); len(ds) > 0 {
			t.Fatalf("claimed %+v for %s, want none", ds, u)
		}
	}
}

func wantLoaded(t testing.TB, q *Queue, d queue.Delivery, want *event.Event) {
	t.Helper()
	if e, err := q.Load(d); err != nil || !bytes.Equal(e.Body, want.Body) {
		t.Fatalf("Load(%s for %s): %+v, %v", d.EventID, d.Upstream, e, err)
	}
}

// recorded waits until an event is pending for the upstream, and can be claimed.
func recorded(t testing.TB, q *Queue, upstream string) {
	t.Helper()
	eventually(t, "the outcome is recorded", func() bool {
		c, err := q.Claim(upstream, q.now(), queue.Want{First: 1, Retry: 1})
		for _, d := range c.Deliveries {
			q.Release(d)
		}
		return err == nil && len(c.Deliveries) == 1
	})
}

// A process is killed between the completion of an event and its deliveries, or after
// them, while the rows of the event are not written yet: the event is not completed
// again.
func TestCrashBetweenCompletionAndFiling(t *testing.T) {
	t.Parallel()
	for name, deliver := range map[string]bool{"before the delivery": false, "after the delivery": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q, disk := openNew(t)
			put(t, q, "filed", "other")
			flush(t, q)
			keepUnfiled(q)
			put(t, q, "a", "ehr", completion, cleanup)
			put(t, q, "waiting", "ehr", completion)
			ds := take(t, q, completion, 10)
			o := completedBy(t, q, ds[0], 3000)
			q.Settle(o)
			recorded(t, q, "ehr")
			if deliver {
				q.Settle(outcomeOf(q, takeOne(t, q, "ehr", "a"), queue.Delivered))
				recorded(t, q, cleanup)
			}
			if n := q.unfiled.Len(); n != 2 {
				t.Fatalf("%d events are unfiled", n)
			}
			q2 := mustOpen(t, Options{Path: crash(t, q, disk), Settings: queue.DefaultSettings()})
			wantNone(t, q2, cleanup)
			takeOne(t, q2, completion, "waiting")
			d := takeOne(t, q2, "ehr", "a")
			wantLoaded(t, q2, d, o.Event)
			if r, err := q2.Event(t.Context(), "a"); err != nil || len(r.Stages) != 1 || d.Size < 3000 {
				t.Errorf("%+v, %v; claimed %+v", r, err, d)
			}
			q2.Settle(outcomeOf(q2, d, queue.Delivered))
			recorded(t, q2, cleanup)
			wantCounts(t, q2)
		})
	}
}

// A backup, an export and a rebuilt file have the stages of events whose rows are not
// written yet.
func TestStagesOfUnfiledEventsInABackup(t *testing.T) {
	t.Parallel()
	q, _ := openNew(t)
	put(t, q, "filed", "other")
	flush(t, q)
	keepUnfiled(q)
	put(t, q, "a", "ehr", completion, cleanup)
	put(t, q, "b", "ehr", completion)
	q.Settle(completedBy(t, q, take(t, q, completion, 1)[0], 10))
	recorded(t, q, "ehr")
	path := filepath.Join(t.TempDir(), "queue.db")
	var b bytes.Buffer
	if err := q.Backup(t.Context(), &b, nil); err != nil {
		t.Fatal(err)
	}
	writeFile(t, path, b.Bytes())
	copyFile(t, q.path+".key", path+".key")
	all, tally := storetest.ReadAll(t, path)
	if a := all["a"]; !tally.Whole() || len(a.Record.Deliveries) != 1 || a.Record.State != queue.Pending || a.Event == nil || len(all["b"].Record.Stages) != 1 {
		t.Errorf("%+v, %+v", all, tally)
	}
	q2 := mustOpen(t, Options{Path: path, Settings: queue.DefaultSettings()})
	takeOne(t, q2, "ehr", "a")
	takeOne(t, q2, completion, "b")
}

// fullStore returns a store with an event that waits for its completion, and a function
// that sets how many bytes are free.
func fullStore(t *testing.T, keep time.Duration) (w *tampered, disk *failingDisk, free func(uint64)) {
	t.Helper()
	n, disk := uint64(1<<30), &failingDisk{}
	w = &tampered{t: t}
	s := queue.DefaultSettings()
	s.KeepDelivered = keep
	w.Queue = mustOpen(t, Options{
		Path: filepath.Join(t.TempDir(), "queue.db"), Settings: s, fault: disk.fault,
		space: func(string) (uint64, uint64, error) { return n, 1 << 40, nil },
	})
	put(t, w.Queue, "a", "ehr", "lab", completion, cleanup)
	return w, disk, func(free uint64) {
		w.onWriter(func() { n, w.room.asked, w.room.free, w.steps.held = free, time.Time{}, 0, time.Time{} })
	}
}

// A completed event for which the disk has no room is delivered from memory.
func TestCompletedWithoutRoom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		keep    time.Duration
		retain  bool
		cleanup bool
	}{
		"":                     {cleanup: true},
		"retained":             {retain: true},
		"payload kept":         {keep: time.Hour},
		"payload and retained": {keep: time.Hour, retain: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, _, free := fullStore(t, c.keep)
			o := completedBy(t, w.Queue, takeOne(t, w.Queue, completion, "a"), 100_000)
			o.Retain = c.retain
			free(0)
			w.Settle(o)
			recorded(t, w.Queue, "ehr")
			wantNone(t, w.Queue, completion, cleanup)
			d := takeOne(t, w.Queue, "ehr", "a")
			wantNone(t, w.Queue, "ehr")
			wantLoaded(t, w.Queue, d, o.Event)
			if d.Size < 100_000 {
				t.Errorf("claimed %+v", d)
			}
			retry := outcomeOf(w.Queue, d, queue.Pending)
			retry.Next = w.now().Add(time.Hour)
			w.Settle(retry)
			flush(t, w.Queue)
			got, err := w.Claim("ehr", w.now(), queue.Want{First: 1, Retry: 1})
			if err != nil || len(got.Deliveries) > 0 || !got.Next.Equal(retry.Next) {
				t.Errorf("claimed %+v, %v; want the retry later", got, err)
			}
			got, err = w.Claim("ehr", retry.Next, queue.Want{First: 1, Retry: 1})
			if err != nil || len(got.Deliveries) != 1 || got.Deliveries[0].Attempts != 1 {
				t.Fatalf("claimed %+v, %v; want the retry", got, err)
			}
			for _, d := range []queue.Delivery{got.Deliveries[0], takeOne(t, w.Queue, "lab", "a")} {
				wantLoaded(t, w.Queue, d, o.Event)
				w.Settle(outcomeOf(w.Queue, d, queue.Delivered))
			}
			flush(t, w.Queue)
			if r, err := w.Event(t.Context(), "a"); err != nil || r.State != queue.Delivered || r.HasPayload != (c.keep > 0) {
				t.Errorf("%+v, %v", r, err)
			}
			if len(w.held.all()) > 0 || w.held.bytes != 0 {
				t.Error("the event is still in memory")
			}
			wantNone(t, w.Queue, completion)
			if ds := take(t, w.Queue, cleanup, 1); len(ds) == 1 != c.cleanup {
				t.Errorf("claimed %+v, want a cleanup: %t", ds, c.cleanup)
			}
			wantCounts(t, w.Queue)
			if c.keep > 0 {
				if _, err := w.Replay(t.Context(), queue.ReplaySelection{IDs: []string{"a"}}); err != nil {
					t.Fatal(err)
				}
				wantNone(t, w.Queue, "ehr")
				takeOne(t, w.Queue, completion, "a")
			}
		})
	}
}

// After a crash, an event that was delivered from memory to some of its upstreams is
// completed again, for the others.
func TestCrashWithoutRoom(t *testing.T) {
	t.Parallel()
	w, disk, free := fullStore(t, 0)
	o := completedBy(t, w.Queue, takeOne(t, w.Queue, completion, "a"), 5<<20)
	free(4 << 20)
	w.Settle(o)
	recorded(t, w.Queue, "ehr")
	w.Settle(outcomeOf(w.Queue, takeOne(t, w.Queue, "ehr", "a"), queue.Delivered))
	flush(t, w.Queue)
	q2 := mustOpen(t, Options{Path: crash(t, w.Queue, disk), Settings: queue.DefaultSettings()})
	wantNone(t, q2, "ehr", "lab", cleanup)
	o = completedBy(t, q2, takeOne(t, q2, completion, "a"), 200_000)
	q2.Settle(o)
	flush(t, q2)
	wantNone(t, q2, "ehr")
	d := takeOne(t, q2, "lab", "a")
	wantLoaded(t, q2, d, o.Event)
	q2.Settle(outcomeOf(q2, d, queue.Delivered))
	flush(t, q2)
	takeOne(t, q2, cleanup, "a")
	wantCounts(t, q2)
}

// Once there is room, the event in memory is written.
func TestRoomForACompletedEvent(t *testing.T) {
	t.Parallel()
	w, disk, free := fullStore(t, 0)
	o := completedBy(t, w.Queue, takeOne(t, w.Queue, completion, "a"), 100_000)
	free(0)
	w.Settle(o)
	recorded(t, w.Queue, "ehr")
	d := takeOne(t, w.Queue, "ehr", "a")
	free(1 << 30)
	put(t, w.Queue, "b", "other") // so that the disk counts as free
	eventually(t, "the event is written", func() bool { return len(w.held.all()) == 0 })
	wantNone(t, w.Queue, "ehr", completion)
	wantLoaded(t, w.Queue, d, o.Event)
	q2 := mustOpen(t, Options{Path: crash(t, w.Queue, disk), Settings: queue.DefaultSettings()})
	wantNone(t, q2, completion)
	wantLoaded(t, q2, takeOne(t, q2, "ehr", "a"), o.Event)
	wantCounts(t, w.Queue)
}

// If there is not enough room in memory either, the completion is attempted again later. A purge
// makes room in memory.
func TestCompletedWithoutRoomInMemory(t *testing.T) {
	t.Parallel()
	w, _, free := fullStore(t, 0)
	put(t, w.Queue, "b", "ehr", completion)
	ds := take(t, w.Queue, completion, 10)
	free(0)
	w.Settle(completedBy(t, w.Queue, ds[0], maxHeld-10_000))
	recorded(t, w.Queue, "ehr")
	w.Settle(completedBy(t, w.Queue, ds[1], 20_000))
	eventually(t, "the completion is attempted later", func() bool {
		c, err := w.Claim(completion, w.now(), queue.Want{First: 1, Retry: 1})
		return err == nil && !c.Next.IsZero() && len(c.Deliveries) == 0
	})
	if r, err := w.Event(t.Context(), "b"); err != nil || r.State != queue.Pending || len(r.Stages[0].History) != 1 {
		t.Errorf("%+v, %v", r, err)
	}
	takeOne(t, w.Queue, "ehr", "a")
	if _, err := w.Purge(t.Context(), queue.PurgeSelection{IDs: []string{"a"}, Force: true}); err != nil {
		t.Fatal(err)
	}
	if w.held.bytes != 0 {
		t.Errorf("%d bytes are in memory", w.held.bytes)
	}
}

// While a completion is being committed, no Load returns the earlier event from memory: the
// deliveries may be claimed as soon as the commit is done.
func TestNoLoadOfAnEventThatIsBeingCompleted(t *testing.T) {
	t.Parallel()
	var q *Queue
	var watched atomic.Pointer[queue.Delivery]
	var commits, found atomic.Int64
	q = mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), fault: func(string) error {
		d := watched.Load()
		if d == nil {
			return nil
		}
		size, err := q.writing.Number(`SELECT length(sealed) FROM payload WHERE seq = ?`, seqOf(*d))
		if size > d.Size && commits.Add(1) == 1 && q.recent.Get(seqOf(*d)) != nil { // at the commit of the completion
			found.Add(1)
		}
		return err
	}})
	put(t, q, "a", "ehr", completion)
	flush(t, q)
	d := takeOne(t, q, completion, "a")
	if q.recent.Get(seqOf(d)) == nil {
		t.Fatal("the event is not in memory")
	}
	o := completedBy(t, q, d, 10)
	watched.Store(&d)
	q.Settle(o)
	eventually(t, "the completed event is in memory", func() bool { return q.recent.Get(seqOf(d)) == o.Event })
	if n := found.Load(); n > 0 {
		t.Error("the earlier event was in memory during the commit")
	}
}

// An event whose payload is lost can be completed: with an event, it is whole again.
func TestCompletionOfALostPayload(t *testing.T) {
	t.Parallel()
	q, _ := openNew(t)
	put(t, q, "a", "ehr", completion)
	put(t, q, "b", "ehr", completion)
	flush(t, q)
	ds := take(t, q, completion, 2)
	a, b := completedBy(t, q, ds[0], 10), outcomeOf(q, ds[1], queue.Delivered)
	if err := q.do(t.Context(), func(tx *tx) error { return tx.exec(`DELETE FROM payload`) }); err != nil {
		t.Fatal(err)
	}
	q.Settle(a)
	q.Settle(b)
	flush(t, q)
	q.recent.Clear()
	ds = take(t, q, "ehr", 10)
	if len(ds) != 2 {
		t.Fatalf("claimed %+v, want two", ds)
	}
	wantLoaded(t, q, ds[0], a.Event)
	if e, err := q.Load(ds[1]); !errors.Is(err, queue.ErrUnreadable) {
		t.Errorf("Load of the lost payload: %+v, %v", e, err)
	}
	q.Settle(outcomeOf(q, ds[1], queue.Dead))
	flush(t, q)
	if r, err := q.Event(t.Context(), "b"); err != nil || r.State != queue.Dead {
		t.Errorf("%+v, %v", r, err)
	}
}
