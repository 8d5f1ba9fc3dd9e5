package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// A failingDisk makes the commits of a store fail.
type failingDisk struct{ atomic.Bool }

func (d *failingDisk) fault(string) error {
	if d.Load() {
		return errors.New("input/output error")
	}
	return nil
}

// openNew opens a new store with the default settings, and returns a switch that makes
// its commits fail.
func openNew(t testing.TB) (*Queue, *failingDisk) {
	t.Helper()
	d := &failingDisk{}
	return mustOpen(t, Options{Path: filepath.Join(t.TempDir(), "queue.db"), Settings: queue.DefaultSettings(), fault: d.fault}), d
}

// keepUnfiled stops filing for an hour, unless a change needs it.
func keepUnfiled(q *Queue) {
	q.unfiled.Postpone(time.Hour)
}

// crash returns the path of a copy of the store as it would be if the process were
// killed now.
func crash(t testing.TB, q *Queue, d *failingDisk) string {
	t.Helper()
	d.Store(true)
	defer d.Store(false)
	idle(q)
	path := filepath.Join(t.TempDir(), "queue.db")
	copyStore(t, q.path, path)
	return path
}

// put stores an event.
func put(t testing.TB, q *Queue, id string, upstreams ...string) {
	t.Helper()
	putItem(t, q, queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: upstreams})
}

func putItem(t testing.TB, q *Queue, it queue.Item) {
	t.Helper()
	if r, err := q.Store(context.Background(), it); err != nil || r.Duplicate {
		t.Fatalf("Store(%s): %+v, %v", it.Event.ID, r, err)
	}
}

// putMany stores n events from several goroutines, and returns their ids.
func putMany(t testing.TB, q *Queue, prefix string, n int, upstreams ...string) (ids []string) {
	t.Helper()
	for i := range n {
		ids = append(ids, fmt.Sprint(prefix, i))
	}
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 32 {
		wg.Go(func() {
			for i := int(next.Add(1)) - 1; i < n; i = int(next.Add(1)) - 1 {
				if _, err := q.Store(context.Background(), queue.Item{Event: queuetest.Event(ids[i], time.Now()), Upstreams: upstreams}); err != nil {
					t.Errorf("Store(%s): %v", ids[i], err)
				}
			}
		})
	}
	wg.Wait()
	return ids
}

// take claims up to n first deliveries and up to n retries.
func take(t testing.TB, q *Queue, upstream string, n int) []queue.Delivery {
	t.Helper()
	c, err := q.Claim(upstream, q.now(), queue.Want{First: n, Retry: n})
	if err != nil {
		t.Fatalf("Claim(%s): %v", upstream, err)
	}
	return c.Deliveries
}

func outcomeOf(q *Queue, d queue.Delivery, s queue.State) queue.Outcome {
	return queue.Outcome{Delivery: d, At: q.now(), Result: queue.Failure, Status: 500, Used: true, State: s, Next: q.now()}
}

// wantCounts checks that the kept counts match the events in the store.
func wantCounts(t testing.TB, q *Queue) {
	t.Helper()
	anew := make(policy.Counts)
	err := q.do(context.Background(), func(t *tx) error {
		var seqs []int64
		err := t.c.Query(context.Background(), `SELECT seq FROM event`, func(row []driver.Value) error {
			s := tables.Scanner{Row: row}
			seqs = append(seqs, s.Int())
			return nil
		})
		for _, seq := range seqs {
			r, err2 := t.load(seq)
			if err = errors.Join(err, err2); err != nil {
				return err
			}
			anew.Add(&r.Event, 1)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(q.counts(), anew) || !maps.Equal(q.filedCounts, anew) {
		t.Errorf("the counts are %v, for filed events %v; counted again they are %v", q.counts(), q.filedCounts, anew)
	}
}
