//go:build postgres

package postgresqueue

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

func startServer(t testing.TB, o pgtest.Options) *pgtest.Server {
	t.Helper()
	s, err := pgtest.Start(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	return s
}

// work stores and delivers events on a node until ctx ends, and counts the deliveries.
func work(ctx context.Context, t testing.TB, q *Queue, name string, acknowledged *sync.Map, made *sync.Map) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				id := fmt.Sprint(name, "-", w, "-", i)
				storing, cancel := context.WithTimeout(t.Context(), 8*time.Second)
				if _, err := q.Store(storing, queue.Item{Event: queuetest.Event(id, time.Now()), Upstreams: []string{"ehr"}}); err == nil {
					acknowledged.Store(id, true)
				}
				cancel()
			}
		})
	}
	wg.Go(func() {
		for ctx.Err() == nil {
			deliver(q, made)
			time.Sleep(time.Millisecond)
		}
	})
	wg.Wait()
}

// deliver makes the deliveries that are due on a node, and returns how many there were.
func deliver(q *Queue, made *sync.Map) int {
	c, err := q.Claim("ehr", time.Now(), queue.Want{First: 32, Retry: 32})
	if err != nil {
		return 0
	}
	for _, d := range c.Deliveries {
		n, _ := made.LoadOrStore(d.EventID, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
		q.Settle(queue.Outcome{Delivery: d, At: time.Now(), State: queue.Delivered, Result: queue.Success, Status: 200, Used: true})
	}
	return len(c.Deliveries)
}

// The server is killed and started again under load, again and again: no acknowledged event
// is lost, and accepting goes on by itself.
func TestServerIsKilled(t *testing.T) {
	t.Parallel()
	s := startServer(t, pgtest.Options{Durable: true})
	key := seal.NewKey()
	open := func() *Queue {
		return mustOpen(t, Options{DSN: s.DSN(), Keys: []seal.Key{key}, Settings: queue.DefaultSettings(), Lease: MinLease})
	}
	nodes := []*Queue{open(), open()}
	var acknowledged, made sync.Map
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i, q := range nodes {
		wg.Go(func() { work(ctx, t, q, fmt.Sprint("node", i), &acknowledged, &made) })
	}
	for _, sig := range []syscall.Signal{syscall.SIGQUIT, syscall.SIGINT, syscall.SIGQUIT} {
		time.Sleep(time.Second)
		if err := s.Signal(sig); err != nil {
			t.Fatal(err)
		}
		s.Wait()
		if err := s.Launch(); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(time.Second)
	cancel()
	wg.Wait()
	allDelivered(t, nodes, &acknowledged, &made)
}

// allDelivered delivers what is left, and fails the test if an acknowledged event is lost.
func allDelivered(t *testing.T, nodes []*Queue, acknowledged, made *sync.Map) {
	t.Helper()
	within(t, 30*time.Second, "all events are delivered", func() bool {
		left := 0
		for _, q := range nodes {
			deliver(q, made)
			if st, err := q.Stats(); err != nil || len(st.Upstreams) > 0 {
				left++
			}
		}
		return left == 0
	})
	events, duplicates := 0, int64(0)
	acknowledged.Range(func(id, _ any) bool {
		events++
		n, ok := made.Load(id)
		if !ok {
			t.Errorf("%s was acknowledged and never delivered", id)
			return true
		}
		duplicates += n.(*atomic.Int64).Load() - 1
		return true
	})
	if events < 100 {
		t.Errorf("only %d events were acknowledged", events)
	}
	t.Logf("%d events acknowledged, %d delivered twice", events, duplicates)
}

// The primary is killed under load and its synchronous standby promoted: no acknowledged
// event is lost, and the nodes find the new primary by themselves.
func TestFailover(t *testing.T) {
	t.Parallel()
	primary := startServer(t, pgtest.Options{Durable: true})
	standby, err := primary.Standby()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(standby.Stop)
	dsn := fmt.Sprintf("host=%s,%[1]s port=%d,%d user=%s dbname=%[4]s target_session_attrs=read-write", primary.Dir, primary.Port, standby.Port, pgtest.Role)
	key := seal.NewKey()
	var warned atomic.Bool
	mustClose(t, mustOpen(t, Options{DSN: dsn, Keys: []seal.Key{key}, OnNode: func(n Notice) {
		if strings.Contains(n.Text, "synchronous_standby_names") {
			warned.Store(true)
		}
	}}))
	if !warned.Load() {
		t.Error("no warning about a standby that commits do not wait for")
	}
	if err := primary.Synchronize(); err != nil {
		t.Fatal(err)
	}
	var nodes []*Queue
	for range 2 {
		nodes = append(nodes, mustOpen(t, Options{DSN: dsn, Keys: []seal.Key{key}, Settings: queue.DefaultSettings(), Lease: MinLease}))
	}
	showsStandby(t, primary, nodes[0])
	var acknowledged, made sync.Map
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	for i, q := range nodes {
		wg.Go(func() { work(ctx, t, q, fmt.Sprint("node", i), &acknowledged, &made) })
	}
	time.Sleep(2 * time.Second)
	primary.Kill()
	time.Sleep(time.Second)
	if err := standby.Promote(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(3 * time.Second)
	cancel()
	wg.Wait()
	allDelivered(t, nodes, &acknowledged, &made)
}

// showsStandby checks that a node shows the standby, and its lag once it may see it.
func showsStandby(t *testing.T, primary *pgtest.Server, q *Queue) {
	t.Helper()
	standbys := func() []queue.Standby {
		if _, err := q.Stats(); err != nil {
			t.Fatal(err)
		}
		return q.Storage().Standbys
	}
	if s := standbys(); len(s) != 1 || s[0].Name == "" || s[0].Visible || s[0].Synchronous {
		t.Errorf("standbys %+v without the right to see them", s)
	}
	if err := primary.Exec(`GRANT pg_read_all_stats TO ` + pgtest.Role); err != nil {
		t.Fatal(err)
	}
	if s := standbys(); len(s) != 1 || !s[0].Visible || s[0].Name == "" || !s[0].Synchronous || s[0].LagBytes < 0 {
		t.Errorf("standbys %+v; want a synchronous one with its lag", s)
	}
	within(t, 10*time.Second, "the round trip is known", func() bool { return q.Storage().RoundTrip > 0 })
}

// A node that has nothing to do sends about one statement a second.
func TestIdleCost(t *testing.T) {
	t.Parallel()
	s := startServer(t, pgtest.Options{Settings: []string{"log_statement=all", "log_min_messages=log"}})
	q := mustOpen(t, Options{DSN: s.DSN(), Keys: []seal.Key{seal.NewKey()}, Settings: queue.DefaultSettings()})
	put(t, q, "a", "ehr")
	for _, upstream := range []string{"ehr", "lab", "warehouse"} {
		claims(t, q, upstream)
	}
	statements := func() int { return strings.Count(s.Log(), "LOG:  execute ") }
	time.Sleep(2 * time.Second) // what follows the start
	before := statements()
	const seconds = 10
	time.Sleep(seconds * time.Second)
	if n := statements() - before; n < seconds/2 || n > seconds*3/2 {
		t.Errorf("%d statements in %d seconds", n, seconds)
	}
}

// The engine needs the rights of its role only, in a schema that others have made too, and
// works with a search path that names another schema first.
func TestPrivileges(t *testing.T) {
	t.Parallel()
	s := startServer(t, pgtest.Options{})
	for _, text := range []string{
		`REVOKE CREATE ON DATABASE ` + pgtest.Role + ` FROM ` + pgtest.Role,
		`CREATE SCHEMA trap`,
		`CREATE FUNCTION trap.clock_timestamp() RETURNS timestamptz LANGUAGE sql AS $$ SELECT pg_catalog.now() - interval '10 years' $$`,
		`GRANT USAGE ON SCHEMA trap TO PUBLIC`,
		`ALTER ROLE ` + pgtest.Role + ` SET search_path TO trap, pg_catalog`,
		`ALTER ROLE ` + pgtest.Role + ` SET synchronous_commit TO off`,
	} {
		if err := s.Exec(text); err != nil {
			t.Fatal(err)
		}
	}
	o := Options{DSN: s.DSN(), Keys: []seal.Key{seal.NewKey()}, Settings: queue.DefaultSettings()}
	q, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Unavailable(); err == nil {
		t.Error("a role without the right has created a schema")
	}
	_ = q.Close()
	if err := s.Exec(`CREATE SCHEMA ` + DefaultSchema + ` AUTHORIZATION ` + pgtest.Role); err != nil {
		t.Fatal(err)
	}
	q = mustOpen(t, o)
	put(t, q, "a", "ehr")
	if ids, _ := claims(t, q, "ehr"); len(ids) != 1 {
		t.Errorf("claimed %v", ids)
	}
	var setting string
	err = q.do(t.Context(), func(tx *tx) error {
		if err := tx.send(tx.batch()); err != nil {
			return err
		}
		return tx.c.QueryRow(tx.ctx, `SELECT current_setting('synchronous_commit')`).Scan(&setting)
	})
	if err != nil || setting != "on" {
		t.Errorf("synchronous_commit is %q, %v", setting, err)
	}
}

// Behind a pooler in transaction mode, everything works but notifications, which polling
// stands in for.
func TestPooler(t *testing.T) {
	t.Parallel()
	s := startServer(t, pgtest.Options{})
	p, err := s.Pooler()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Stop)
	key := seal.NewKey()
	var nodes []*Queue
	for range 2 {
		nodes = append(nodes, mustOpen(t, Options{DSN: p.DSN(), Keys: []seal.Key{key}, Settings: queue.DefaultSettings(), MaxConnections: MinConnections}))
	}
	var acknowledged, made sync.Map
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for i, q := range nodes {
		wg.Go(func() { work(ctx, t, q, fmt.Sprint("node", i), &acknowledged, &made) })
	}
	wg.Wait()
	allDelivered(t, nodes, &acknowledged, &made)
	put(t, nodes[0], "for the other", "lab")
	within(t, 10*time.Second, "the other node has it", func() bool { ids, _ := claims(t, nodes[1], "lab"); return len(ids) == 1 })
}
