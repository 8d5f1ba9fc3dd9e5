//go:build postgres

package postgresqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/partition"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// width is the time of a partition in these tests.
const width = 3 * time.Hour / 16

// An aging cluster has a clock that only the test moves, and short retentions.
type aging struct {
	*cluster
	clock *queuetest.Clock
	*Queue
}

func newAging(t testing.TB) *aging {
	a := &aging{cluster: newCluster(t), clock: queuetest.NewClock()}
	a.Queue = a.node()
	return a
}

// node opens another node.
func (a *aging) node() *Queue {
	a.Helper()
	return a.cluster.node(func(o *Options) {
		o.Now, o.Elapsed, o.database = a.clock.Now, a.clock.Elapsed, a.clock.Now
		o.Settings.HistoryRetention = 3 * time.Hour
	})
}

func (a *aging) store(id string, duplicate bool) {
	a.Helper()
	a.storeFor("ehr", id, duplicate)
}

func (a *aging) storeFor(upstream, id string, duplicate bool) {
	a.Helper()
	r, err := a.Store(a.Context(), queue.Item{Event: queuetest.Event(id, a.clock.Now()), Upstreams: []string{upstream}})
	if err != nil || r.Duplicate != duplicate {
		a.Fatalf("Store(%s): %+v, %v; want duplicate %t", id, r, err, duplicate)
	}
}

// end stores events, and ends their deliveries in the state.
func (a *aging) end(s queue.State, ids ...string) {
	a.Helper()
	for _, id := range ids {
		a.store(id, false)
	}
	var ds []queue.Delivery
	within(a.TB, 10*time.Second, "the deliveries are due", func() bool {
		c, err := a.Claim("ehr", a.clock.Now(), queue.Want{First: 100})
		if err != nil {
			a.Fatal(err)
		}
		ds = append(ds, c.Deliveries...)
		return len(ds) == len(ids)
	})
	for _, d := range ds {
		a.Settle(queue.Outcome{Delivery: d, At: a.clock.Now(), State: s, Result: queue.Success, Used: true})
	}
	flush(a.TB, a.Queue)
}

// tables returns the tables of partitions, attached or not.
func (a *aging) tables() (names []string) {
	a.Helper()
	for _, table := range []*partition.Table{a.partitions.History, a.partitions.Payloads} {
		all, err := table.List(a.Context(), a.pool)
		if err != nil {
			a.Fatal(err)
		}
		for _, p := range all {
			names = append(names, p.Name())
		}
	}
	return names
}

// dropAll makes a node sweep until none of some partitions is there any more: one that somebody
// uses at that moment, such as autovacuum, is dropped by a later sweep.
func (a *aging) dropAll(q *Queue, names []string) {
	a.Helper()
	within(a.TB, 20*time.Second, fmt.Sprint("no partition is there of ", names), func() bool {
		sweepAll(a.TB, q)
		return !slices.ContainsFunc(a.tables(), func(name string) bool { return slices.Contains(names, name) })
	})
}

// countOf returns the result of a statement that counts.
func (a *aging) countOf(text string) (n int) {
	a.Helper()
	if err := a.pool.QueryRow(a.Context(), a.in(text)).Scan(&n); err != nil {
		a.Fatal(err)
	}
	return n
}

const idsOfTraces = `SELECT count(*) FROM scribegate.known WHERE id LIKE 'trace%'`

func ids(n int) (all []string) {
	for i := range n {
		all = append(all, fmt.Sprint("trace", i))
	}
	return all
}

// When the time of a partition is over, it is dropped with its rows. The ids of its traces are
// known until the end of the dedupe window, and then they are gone. What still waits is
// delivered.
func TestPartitionsAreDropped(t *testing.T) {
	t.Parallel()
	a := newAging(t)
	a.end(queue.Delivered, ids(10)...)
	a.end(queue.Dead, "dead")
	a.store("waiting", false)
	before := a.tables()
	if len(before) != 4 { // one of each table, and one ahead of time
		t.Fatalf("partitions %v, want 4", before)
	}
	a.clock.Advance(3*time.Hour + 2*width)
	if got := a.mustList(queue.Filter{Limit: 100}); !slices.Equal(got, []string{"waiting", "dead"}) {
		t.Errorf("%v are listed before the sweep, want those that are not over", got)
	}
	a.dropAll(a.Queue, before)
	a.store("trace1", true)
	if _, err := a.Event(t.Context(), "trace1"); !errors.Is(err, queue.ErrNotFound) {
		t.Errorf("Event: %v", err)
	}
	if n := a.countOf(`SELECT count(*) FROM scribegate.payload_rest`); n != 2 {
		t.Errorf("%d payloads were moved, want 2", n)
	}
	mustClose(t, a.Queue)
	a.Queue = a.node()
	c, err := a.Claim("ehr", a.clock.Now(), queue.Want{First: 10})
	if err != nil || len(c.Deliveries) != 1 {
		t.Fatalf("Claim: %+v, %v", c, err)
	}
	if e, err := a.Load(c.Deliveries[0]); err != nil || e.ID != "waiting" {
		t.Errorf("Load: %v, %v", e, err)
	}
	if _, err := a.Payload(t.Context(), "dead"); err != nil {
		t.Errorf("Payload: %v", err)
	}
	a.Settle(queue.Outcome{Delivery: c.Deliveries[0], At: a.clock.Now(), State: queue.Delivered, Result: queue.Success})
	flush(t, a.Queue)
	if n, err := a.Purge(t.Context(), queue.PurgeSelection{State: queue.Dead}); n != 1 || err != nil {
		t.Errorf("Purge: %d, %v", n, err)
	}
	if n := a.countOf(`SELECT count(*) FROM scribegate.payload`); n != 0 {
		t.Errorf("%d payloads are left", n)
	}
	a.clock.Advance(24 * time.Hour)
	sweepAll(t, a.Queue)
	if n := a.countOf(`SELECT count(*) FROM scribegate.known`); n != 0 {
		t.Errorf("%d ids are still known", n)
	}
	a.store("trace1", false)
}

func (a *aging) mustList(f queue.Filter) (ids []string) {
	a.Helper()
	page, err := a.Events(a.Context(), f)
	if err != nil {
		a.Fatal(err)
	}
	for _, r := range page.Records {
		ids = append(ids, r.ID)
	}
	return ids
}

// A listing that goes over events and traces has each of them once, newest first.
func TestListingOfBoth(t *testing.T) {
	t.Parallel()
	a := newAging(t)
	var want []string
	for i := range 9 {
		id := fmt.Sprint("trace", i)
		if i%3 == 0 {
			a.end(queue.Dead, id)
		} else {
			a.end(queue.Delivered, id)
		}
		want = append(want, id)
		a.clock.Advance(5 * time.Minute)
	}
	slices.Reverse(want)
	for limit := 1; limit <= 10; limit++ {
		var got []string
		for f := (queue.Filter{Upstream: "ehr", Limit: limit}); ; {
			page, err := a.Events(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range page.Records {
				got = append(got, r.ID)
			}
			if f.Cursor = page.Next; f.Cursor == "" {
				break
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("by %d: %v, want %v", limit, got, want)
		}
	}
}

// While somebody reads the tables for long, such as pg_dump, no partition is dropped, and
// nobody waits for it. Partitions are created.
func TestLongReader(t *testing.T) {
	t.Parallel()
	a := newAging(t)
	a.end(queue.Delivered, ids(3)...)
	before := a.tables()
	a.clock.Advance(3*time.Hour + 2*width)
	err := server.Query(func(ctx context.Context, c *pgx.Conn) error {
		tx, err := c.Begin(ctx)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, a.in(`LOCK TABLE scribegate.history, scribegate.payload IN ACCESS SHARE MODE`)); err != nil {
			return err
		}
		stop := make(chan struct{})
		var wg sync.WaitGroup
		waits := 0
		wg.Go(func() { waits = a.watchLocks(stop) })
		for range 5 {
			if err := dropPartitions(ctx, a.Queue); !errors.Is(err, partition.ErrInUse) {
				t.Errorf("dropPartitions: %v; want that the table is in use", err)
			}
		}
		close(stop)
		wg.Wait()
		if waits > 0 {
			t.Errorf("the table was being locked %d times", waits)
		}
		a.end(queue.Delivered, "now") // which creates partitions
		return tx.Commit(ctx)
	})
	if err != nil {
		t.Fatal(err)
	}
	a.dropAll(a.Queue, before)
}

// watchLocks counts how often a session was seen to wait for an exclusive lock of a table.
func (a *aging) watchLocks(stop chan struct{}) (waits int) {
	_ = server.Query(func(ctx context.Context, c *pgx.Conn) error {
		for {
			select {
			case <-stop:
				return nil
			case <-time.After(2 * time.Millisecond):
			}
			n := 0
			err := c.QueryRow(ctx, `
				SELECT count(*) FROM pg_locks l JOIN pg_class c ON c.oid = l.relation JOIN pg_namespace n ON n.oid = c.relnamespace
				WHERE n.nspname = $1 AND NOT l.granted AND l.mode = 'AccessExclusiveLock'`, a.cluster.schema).Scan(&n)
			if err != nil {
				a.Error(err)
				return err
			}
			waits += n
		}
	})
	return waits
}

// An event is stored, and its trace, although somebody has deleted all partitions.
func TestMissingPartitions(t *testing.T) {
	t.Parallel()
	a := newAging(t)
	for _, name := range a.tables() {
		if err := server.Exec(`DROP TABLE "` + a.cluster.schema + `".` + name); err != nil {
			t.Fatal(err)
		}
	}
	a.end(queue.Delivered, "trace0")
	if names := a.tables(); len(names) != 2 {
		t.Errorf("partitions %v, want one of each table", names)
	}
	if got := a.mustList(queue.Filter{Limit: 10}); !slices.Equal(got, []string{"trace0"}) {
		t.Errorf("listed %v", got)
	}
}

// A node that ends between detaching a partition and dropping it leaves that to the others.
// Meanwhile its traces count as deleted.
func TestDetachedPartitions(t *testing.T) {
	t.Parallel()
	a := newAging(t)
	a.end(queue.Delivered, ids(3)...)
	a.storeFor("lab", "waiting", false)
	var detached []string
	for _, table := range []*partition.Table{a.partitions.History, a.partitions.Payloads} {
		all, err := table.List(t.Context(), a.pool)
		if err != nil {
			t.Fatal(err)
		}
		if err := all[0].Detach(t.Context(), a.pool); err != nil {
			t.Fatal(err)
		}
		detached = append(detached, all[0].Name())
	}
	a.store("trace1", true)
	if got := a.mustList(queue.Filter{Limit: 10}); !slices.Equal(got, []string{"waiting"}) {
		t.Errorf("listed %v", got)
	}
	a.end(queue.Delivered, "again") // in a partition beside the one that is detached
	a.dropAll(a.node(), detached)
	if n := a.countOf(`SELECT count(*) FROM scribegate.payload_rest`); n != 1 {
		t.Errorf("%d payloads were moved, want that of the event that waits", n)
	}
	if n := a.countOf(`SELECT count(*) FROM scribegate.known WHERE buried`); n != 3 {
		t.Errorf("%d ids are buried, want 3", n)
	}
	a.clock.Advance(24 * time.Hour)
	sweepAll(t, a.Queue)
	if n := a.countOf(idsOfTraces); n != 0 {
		t.Errorf("%d ids are still known", n)
	}
}

// Two nodes that sweep at once, beside others that store, drop each partition once and forget
// each id.
func TestTwoSweeps(t *testing.T) {
	t.Parallel()
	a := newAging(t)
	b := a.node()
	a.end(queue.Delivered, ids(100)...)
	before := a.tables()
	a.clock.Advance(25 * time.Hour)
	var wg sync.WaitGroup
	for _, q := range []*Queue{a.Queue, b} {
		for range 2 {
			wg.Go(func() {
				for range 5 {
					if err := dropPartitions(context.Background(), q); err != nil && !partition.Passing(err) {
						t.Errorf("dropPartitions: %v", err)
					}
				}
			})
		}
	}
	wg.Go(func() {
		for i := range 20 {
			a.store(fmt.Sprint("new", i), false)
		}
		for i := range 20 {
			a.store(fmt.Sprint("trace", i), false) // the window is over
		}
	})
	wg.Wait()
	a.dropAll(b, before)
	if n := a.countOf(idsOfTraces); n != 20 {
		t.Errorf("%d ids are known, want the 20 that were stored again", n)
	}
}

// Partitions of another width, after a change of the settings or by another node, do not
// overlap.
func TestWidths(t *testing.T) {
	t.Parallel()
	a := newAging(t)
	for _, retention := range []time.Duration{72 * time.Hour, time.Minute, 1000 * time.Hour, 3 * time.Hour} {
		s := *a.settings.Load()
		s.HistoryRetention = retention
		a.Configure(s)
		if err := a.partitions.Ahead(t.Context(), a.pool); err != nil {
			t.Fatal(err)
		}
		a.end(queue.Delivered, retention.String())
		a.clock.Advance(30 * time.Minute)
	}
	a.end(queue.Delivered, "last")
	if got := a.mustList(queue.Filter{Limit: 10}); len(got) != 5 {
		t.Errorf("listed %v, want 5", got)
	}
}
