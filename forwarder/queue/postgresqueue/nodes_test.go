//go:build postgres

package postgresqueue

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/lease"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/partition"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/schema"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A cluster opens nodes on one schema.
type cluster struct {
	testing.TB
	schema string
	key    seal.Key
}

func newCluster(t testing.TB) *cluster {
	return &cluster{TB: t, schema: newSchema(t), key: seal.NewKey()}
}

// options returns the options of a node.
func (c *cluster) options() Options {
	return Options{DSN: server.DSN(), Schema: c.schema, Keys: []seal.Key{c.key}, Settings: queue.DefaultSettings(), MaxConnections: MinConnections, Lease: MinLease}
}

func (c *cluster) node(change func(*Options)) *Queue {
	c.Helper()
	o := c.options()
	if change != nil {
		change(&o)
	}
	return mustOpen(c, o)
}

func put(t testing.TB, q *Queue, id string, upstreams ...string) {
	t.Helper()
	r, err := q.Store(t.Context(), queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: upstreams})
	if err != nil || r.Duplicate {
		t.Fatalf("Store(%s): %+v, %v", id, r, err)
	}
}

// claims returns the ids of what is due.
func claims(t testing.TB, q *Queue, upstream string) (ids []string, ds []queue.Delivery) {
	t.Helper()
	c, err := q.Claim(upstream, time.Now(), queue.Want{First: 100, Retry: 100})
	if err != nil {
		t.Fatalf("Claim: %v", err)
	}
	for _, d := range c.Deliveries {
		ids = append(ids, d.EventID)
	}
	return ids, c.Deliveries
}

// within fails the test unless the condition holds in time.
func within(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !holds(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

// Without notifications, as behind a pooler, polling finds what another node stores, and
// wakes the upstream.
func TestPolling(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.node(nil), c.node(func(o *Options) { o.deaf = true })
	var woken atomic.Int32
	b.Notify(func(string) { woken.Add(1) })
	claims(t, b, "lab")
	put(t, a, "first", "lab")
	var ds []queue.Delivery
	within(t, 10*time.Second, "the upstream is woken, and has the delivery", func() bool {
		if woken.Swap(0) > 0 {
			_, ds = claims(t, b, "lab")
		}
		return len(ds) == 1
	})
	b.Settle(queue.Outcome{Delivery: ds[0], At: time.Now(), State: queue.Pending, Result: queue.Failure, Next: time.Now().Add(2 * time.Second)})
	flush(t, b)
	within(t, 10*time.Second, "the retry is due", func() bool {
		ids, _ := claims(t, a, "lab")
		return slices.Equal(ids, []string{"first"})
	})
}

// The deliveries of a node that ends without a goodbye are made by another within the lease
// and a few seconds.
func TestTakeOver(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.node(nil), c.node(nil)
	put(t, a, "first", "ehr")
	within(t, 5*time.Second, "the delivery is due", func() bool { ids, _ := claims(t, a, "ehr"); return len(ids) == 1 })
	a.suspend(errors.New("killed"))
	_ = a.Close()
	died := time.Now()
	within(t, MinLease+10*time.Second, "another node has the delivery", func() bool { ids, _ := claims(t, b, "ehr"); return len(ids) == 1 })
	if took := time.Since(died); took < MinLease/2 {
		t.Errorf("the lease of %s ended after %s", MinLease, took)
	}
}

// A node that ends in order frees its deliveries at once.
func TestClose(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.node(func(o *Options) { o.Lease = time.Hour }), c.node(nil)
	put(t, a, "first", "ehr")
	within(t, 5*time.Second, "the delivery is due", func() bool { ids, _ := claims(t, a, "ehr"); return len(ids) == 1 })
	mustClose(t, a)
	within(t, 5*time.Second, "another node has the delivery", func() bool { ids, _ := claims(t, b, "ehr"); return len(ids) == 1 })
	nodes, err := b.Nodes()
	if err != nil || len(nodes) != 1 {
		t.Errorf("nodes %+v, %v; want one", nodes, err)
	}
}

// What a node has leased in advance and does not claim goes to other nodes.
func TestIdleUpstream(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.node(nil), c.node(nil)
	for _, id := range []string{"first", "second"} {
		put(t, a, id, "ehr")
	}
	within(t, 5*time.Second, "one is due", func() bool {
		got, err := a.Claim("ehr", time.Now(), queue.Want{First: 1})
		return err == nil && len(got.Deliveries) == 1
	})
	within(t, lease.IdleAfter+10*time.Second, "the other node has the second", func() bool {
		ids, _ := claims(t, b, "ehr")
		return slices.Equal(ids, []string{"second"})
	})
}

// If the answer to a commit is lost, the event is stored once, is no duplicate, and is
// delivered, and an outcome counts once.
func TestLostAnswer(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var losing atomic.Int32
	q := c.node(func(o *Options) {
		o.fault = func(stage string) error {
			if stage == afterCommit && losing.Add(-1) >= 0 {
				return errors.New("connection reset by peer")
			}
			return nil
		}
	})
	claims(t, q, "ehr") // from now on, its deliveries are leased in advance
	for i := range 5 {
		id := fmt.Sprint("e", i)
		losing.Store(int32(1 + i%2))
		put(t, q, id, "ehr")
		var ds []queue.Delivery
		within(t, 10*time.Second, "it is due", func() bool { _, ds = claims(t, q, "ehr"); return len(ds) == 1 })
		losing.Store(1)
		q.Settle(queue.Outcome{Delivery: ds[0], At: time.Now(), State: queue.Pending, Result: queue.Failure, Used: true, Next: time.Now()})
		within(t, 10*time.Second, "it is due again", func() bool { _, ds = claims(t, q, "ehr"); return len(ds) == 1 })
		if ds[0].Attempts != 1 {
			t.Errorf("%d attempts, want 1", ds[0].Attempts)
		}
		q.Settle(queue.Outcome{Delivery: ds[0], At: time.Now(), State: queue.Delivered, Result: queue.Success})
		flush(t, q)
		if r, err := q.Event(t.Context(), id); err != nil || r.State != queue.Delivered || len(r.Deliveries[0].History) != 2 {
			t.Errorf("%+v, %v; want it delivered with two attempts", r, err)
		}
	}
}

// A node that lacks a key leaves the events to others, and a key that opens nothing is
// refused.
func TestForeignKey(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a := c.node(nil)
	put(t, a, "old", "ehr")
	if q, err := Open(Options{DSN: server.DSN(), Schema: c.schema, Keys: []seal.Key{seal.NewKey()}}); err == nil || !strings.Contains(err.Error(), "encryption_key") {
		_ = q.Close()
		t.Errorf("Open with a wrong key: %v", err)
	}
	next := seal.NewKey()
	if err := a.SetKeys([]seal.Key{next, c.key}); err != nil {
		t.Fatal(err)
	}
	put(t, a, "new", "ehr")
	within(t, 20*time.Second, "all is resealed", func() bool {
		n, err := a.count(t.Context())
		return err == nil && len(n.Keys()) == 1 && n.Keys()[next.Fingerprint()] == 2
	})
	c.key = next
	var foreign atomic.Int64
	b := c.node(func(o *Options) { o.OnForeign = foreign.Store })
	third := seal.NewKey()
	if err := a.SetKeys([]seal.Key{third, next}); err != nil {
		t.Fatal(err)
	}
	within(t, 20*time.Second, "all is resealed again", func() bool {
		n, err := a.count(t.Context())
		return err == nil && n.Keys()[third.Fingerprint()] == 2
	})
	if ids, _ := claims(t, b, "ehr"); len(ids) > 0 {
		t.Errorf("claimed %v, which the node cannot open", ids)
	}
	if _, err := b.Payload(t.Context(), "old"); !errors.Is(err, queue.ErrUnreadable) {
		t.Errorf("Payload: %v", err)
	}
	if _, err := b.Stats(); err != nil || foreign.Load() != 2 {
		t.Errorf("%d events are foreign, %v; want 2", foreign.Load(), err)
	}
	if ids, _ := claims(t, a, "ehr"); len(ids) != 2 {
		t.Errorf("claimed %v, want both", ids)
	}
	// A node that still seals with the older key does not reseal with it.
	put(t, b, "by b", "lab")
	b.resealSoon()
	within(t, 20*time.Second, "the other node reseals it", func() bool {
		a.resealSoon()
		n, err := a.count(t.Context())
		return err == nil && len(n.Keys()) == 1 && n.Keys()[third.Fingerprint()] == 3
	})
}

// A node of the version before works on while one of this version updates the schema, and can be
// started again beside it.
func TestUpdateBesideOlderNodes(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	old := func(o *Options) { o.migrations = schema.Migrations[:len(schema.Migrations)-1] }
	before := c.node(old)
	put(t, before, "a", "ehr")
	newer := c.node(nil)
	var version int
	if err := newer.pool.QueryRow(t.Context(), newer.in(`SELECT version FROM scribegate.meta`)).Scan(&version); err != nil || version != len(schema.Migrations) {
		t.Fatalf("the schema has version %d, %v", version, err)
	}
	put(t, before, "b", "ehr")
	put(t, newer, "c", "ehr")
	mustClose(t, before)
	before = c.node(old)
	put(t, before, "d", "ehr")
	done := make(map[string]bool)
	within(t, 10*time.Second, "all are delivered, by both nodes", func() bool {
		for _, q := range []*Queue{before, newer} {
			ids, ds := claims(t, q, "ehr")
			for i, d := range ds {
				q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success})
				done[ids[i]] = true
			}
			flush(t, q)
		}
		return len(done) == 4
	})
	if _, err := newer.AuditHeads(t.Context()); err != nil {
		t.Errorf("AuditHeads: %v", err)
	}
}

// Nodes that start at once create the schema once. A node works with a schema that a newer
// one has extended, and refuses one that it cannot use.
func TestMigrations(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	nodes := make([]*Queue, 4)
	var wg sync.WaitGroup
	for i := range nodes {
		wg.Go(func() {
			q, err := Open(c.options())
			if err == nil {
				err = q.Unavailable()
			}
			if err != nil {
				t.Errorf("Open: %v", err)
			}
			nodes[i] = q
		})
	}
	wg.Wait()
	t.Cleanup(func() {
		for _, q := range nodes {
			_ = q.Close()
		}
	})
	newer := schema.New(c.schema)
	newer.Migrations = append(slices.Clone(newer.Migrations), `
		ALTER TABLE scribegate.event ADD COLUMN extra text NOT NULL DEFAULT '';
		ALTER TABLE scribegate.history ADD COLUMN extra text NOT NULL DEFAULT ''`)
	for range 2 {
		conn, err := nodes[0].connect(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		err = newer.Migrate(t.Context(), conn)
		closeConn(conn)
		if err != nil {
			t.Fatal(err)
		}
	}
	put(t, nodes[1], "a", "ehr")
	later := c.node(nil)
	put(t, later, "b", "ehr")
	for _, table := range []*partition.Table{later.partitions.History, later.partitions.Payloads} {
		if err := table.Create(t.Context(), later.pool, time.Hour, 0); err != nil {
			t.Errorf("a partition of the newer schema: %v", err)
		}
	}
	within(t, 10*time.Second, "both are delivered", func() bool {
		_, ds := claims(t, later, "ehr")
		for _, d := range ds {
			later.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success})
		}
		flush(t, later)
		page, err := nodes[1].Events(t.Context(), queue.Filter{State: queue.Delivered, Limit: 10})
		return err == nil && len(page.Records) == 2
	})
	if err := server.Exec(`UPDATE "` + c.schema + `".meta SET oldest = version`); err != nil {
		t.Fatal(err)
	}
	if q, err := Open(c.options()); err == nil || !strings.Contains(err.Error(), "has version "+strconv.Itoa(len(schema.Migrations)+1)) {
		_ = q.Close()
		t.Errorf("Open of a newer schema: %v", err)
	}
}
