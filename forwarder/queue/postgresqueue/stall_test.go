//go:build postgres

package postgresqueue

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
)

// What a node leases after another one has taken its deliveries over is free again, whether the
// node notices that it was deleted or not.
func TestLeasedAfterTakeOver(t *testing.T) {
	t.Parallel()
	for name, notices := range map[string]bool{"it notices": true, "it does not notice": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newCluster(t)
			a, b := c.node(func(o *Options) { o.Lease = time.Hour }), c.node(nil)
			left := map[string]bool{"first": true, "second": true, "third": true}
			for id := range left {
				put(t, b, id, "ehr")
			}
			if err := server.Exec(`DELETE FROM "`+c.schema+`".node WHERE id = $1`, a.node.Load()); err != nil {
				t.Fatal(err)
			}
			takeOver(t, b)
			within(t, 5*time.Second, "one is claimed", func() bool {
				claimed, err := a.Claim("ehr", time.Now(), queue.Want{First: 1})
				return err == nil && len(claimed.Deliveries) == 1
			})
			if notices {
				conn, err := a.connect(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				defer closeConn(conn)
				if err := a.beat(t.Context(), conn); err != nil {
					t.Fatal(err)
				}
			}
			within(t, strayEvery+20*time.Second, "the other node claims them", func() bool {
				some, _ := claims(t, b, "ehr")
				for _, id := range some {
					delete(left, id)
				}
				return len(left) == 0
			})
		})
	}
}

// A node that hangs in a transaction holds its locks for a short time only: the changes of
// another node wait, and none of them fails.
func TestHangingTransaction(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	var hang atomic.Bool
	hanging, resume := make(chan struct{}), make(chan struct{})
	a := c.node(func(o *Options) {
		o.fault = func(string) error {
			if hang.Swap(false) {
				close(hanging)
				<-resume
			}
			return nil
		}
	})
	t.Cleanup(func() { close(resume) })
	failures := make(chan error, 100)
	b := c.node(func(o *Options) {
		o.OnFailure = func(err error) {
			if err != nil {
				failures <- err
			}
		}
	})
	put(t, a, "event", "ehr", "lab")
	outcome := func(q *Queue, upstream string) {
		t.Helper()
		var ds []queue.Delivery
		within(t, 5*time.Second, "it is due", func() bool { _, ds = claims(t, q, upstream); return len(ds) == 1 })
		q.Settle(queue.Outcome{Delivery: ds[0], At: time.Now(), State: queue.Delivered, Result: queue.Success, Status: 200, Used: true})
	}
	hang.Store(true)
	outcome(a, "ehr")
	<-hanging
	outcome(b, "lab")
	flush(t, b)
	put(t, b, "other", "lab")
	select {
	case err := <-failures:
		t.Errorf("a change of the other node has failed: %v", err)
	default:
	}
}

// An event whose caller has given up after the answer to its commit was lost is due at once, at
// any node.
func TestAbandonedStore(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	ctx, abandon := context.WithCancel(t.Context())
	a := c.node(func(o *Options) {
		o.fault = func(stage string) error {
			stored := 0
			if stage != afterCommit || ctx.Err() != nil || query(server, &stored, `SELECT count(*) FROM "`+c.schema+`".event`) != nil || stored == 0 {
				return nil
			}
			abandon()
			return errors.New("connection reset by peer")
		}
	})
	b := c.node(nil)
	claims(t, a, "ehr") // from now on, its deliveries are leased in advance
	if _, err := a.Store(ctx, queue.Item{Event: queuetest.Event("event", time.Now()), Upstreams: []string{"ehr"}}); err == nil {
		t.Fatal("an event whose commit was not answered is stored")
	}
	within(t, strayEvery/2, "the other node claims it", func() bool { ids, _ := claims(t, b, "ehr"); return len(ids) == 1 })
}

// A transaction that has locked one of a dead node's deliveries does not keep the others leased,
// and that one is freed later.
func TestTakeOverBesideALock(t *testing.T) {
	t.Parallel()
	c := newCluster(t)
	a, b := c.node(func(o *Options) { o.Lease = time.Hour }), c.node(nil)
	for _, id := range []string{"first", "second"} {
		put(t, a, id, "ehr")
	}
	within(t, 5*time.Second, "both are claimed", func() bool {
		claimed, err := a.Claim("ehr", time.Now(), queue.Want{First: 2})
		return err == nil && len(claimed.Deliveries) > 0
	})
	if err := server.Exec(`UPDATE "`+c.schema+`".delivery SET node = $1 WHERE node IS NULL`, a.node.Load()); err != nil {
		t.Fatal(err)
	}
	err := server.Query(func(ctx context.Context, other *pgx.Conn) error {
		return pgx.BeginFunc(ctx, other, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT FROM "`+c.schema+`".delivery ORDER BY seq LIMIT 1 FOR UPDATE`); err != nil {
				return err
			}
			lapse(t, a)
			takeOver(t, b)
			within(t, 5*time.Second, "the other one is claimed", func() bool { ids, _ := claims(t, b, "ehr"); return len(ids) == 1 })
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	within(t, strayEvery+20*time.Second, "the locked one is claimed", func() bool { ids, _ := claims(t, b, "ehr"); return len(ids) == 1 })
}

// An event is in memory for a short time after it was stored, whether another node ends it or not.
func TestRecentIsForgotten(t *testing.T) {
	t.Parallel()
	var ahead atomic.Int64
	q := newCluster(t).node(func(o *Options) {
		o.database = func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	})
	put(t, q, "event", "ehr")
	if q.recent.Bytes() == 0 {
		t.Fatal("an event that was just stored is not in memory")
	}
	ahead.Store(int64(2 * newly))
	within(t, 20*time.Second, "it is forgotten", func() bool { return q.recent.Bytes() == 0 })
}
