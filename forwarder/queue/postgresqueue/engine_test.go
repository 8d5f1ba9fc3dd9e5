//go:build postgres

package postgresqueue

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/partition"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// server is the server of all tests of this package.
var server *pgtest.Server

func TestMain(m *testing.M) {
	os.Exit(pgtest.Run(m, pgtest.Options{}, func(s *pgtest.Server) { server = s }))
}

func TestEngine(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, openEngine)
}

// schemas counts the schemas of the tests.
var schemas atomic.Int64

// newSchema returns the name of a new schema.
func newSchema(t testing.TB) string {
	name := fmt.Sprint("test ", schemas.Add(1)) // which must be quoted
	t.Cleanup(func() { _ = server.Exec(`DROP SCHEMA IF EXISTS "` + name + `" CASCADE`) })
	return name
}

func openEngine(t testing.TB, s queue.Settings, clock *queuetest.Clock) *queuetest.Engine {
	t.Helper()
	var failing atomic.Bool
	keys := []seal.Key{seal.NewKey()}
	schema := newSchema(t)
	var q *Queue
	options := func(s queue.Settings) Options {
		return Options{
			DSN: server.DSN(), Schema: schema, Keys: keys, Settings: s, MaxConnections: MinConnections, Now: clock.Now, Elapsed: clock.Elapsed, database: clock.Now,
			fault: func(stage string) error {
				if failing.Load() && stage == beforeCommit {
					return errors.New("no space left on device")
				}
				return nil
			},
		}
	}
	open := func(s queue.Settings) queue.Queue {
		t.Helper()
		q = mustOpen(t, options(s))
		return q
	}
	return &queuetest.Engine{
		Queue:  open(s),
		Flush:  func() { flush(t, q) },
		Sweep:  func() { sweepAll(t, q) },
		Reopen: func(s queue.Settings) queue.Queue { mustClose(t, q); return open(s) },
		Crash: func(s queue.Settings) queue.Queue {
			t.Helper()
			failing.Store(true)
			_ = q.writer.Do(context.Background(), nil) // after the batch that is being committed
			crash(t, q)
			failing.Store(false)
			return open(s)
		},
		FailWrites: failing.Store,
		Rotate: func() error {
			next := seal.NewKey()
			if err := rotate(q, next, keys); err != nil {
				return err
			}
			keys = []seal.Key{next}
			return nil
		},
		Join: func(skew time.Duration) *queuetest.Node {
			t.Helper()
			o := options(s)
			o.Now = func() time.Time { return clock.Now().Add(skew) }
			n := mustOpen(t, o)
			return &queuetest.Node{
				Queue: n,
				Flush: func() { flush(t, n) },
				Kill: func() {
					crash(t, n)
					takeOver(t, q)
				},
				Stall: func() {
					if err := server.Exec(`DELETE FROM "`+schema+`".node WHERE id = $1`, n.node.Load()); err != nil { // it might renew its leases otherwise
						t.Fatal(err)
					}
					takeOver(t, q)
				},
			}
		},
	}
}

// lapse lets the leases of a node end, as if it had not renewed them.
func lapse(t testing.TB, q *Queue) {
	t.Helper()
	if err := server.Exec(`UPDATE "`+q.options.Schema+`".node SET until = clock_timestamp() - interval '1 second' WHERE id = $1`, q.node.Load()); err != nil {
		t.Fatal(err)
	}
}

// takeOver makes a node take the deliveries of dead nodes over.
func takeOver(t testing.TB, q *Queue) {
	t.Helper()
	c, err := q.connect(context.Background())
	if err == nil {
		defer closeConn(c)
		_, err = q.takeOver(context.Background(), c)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// crash ends a queue as the end of its process does, and lets its leases end.
func crash(t testing.TB, q *Queue) {
	t.Helper()
	q.suspend(errors.New("killed")) // so that it does not free its deliveries
	_ = q.Close()
	lapse(t, q)
}

// rotate puts a key first, waits until no payload is sealed with another, and removes the
// other keys.
func rotate(q *Queue, next seal.Key, older []seal.Key) error {
	if err := q.SetKeys(append([]seal.Key{next}, older...)); err != nil {
		return err
	}
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		c, err := q.count(context.Background())
		if err != nil {
			return err
		}
		var others int64
		for f, n := range c.Keys() {
			if f != next.Fingerprint() {
				others += n
			}
		}
		if others == 0 {
			break
		}
		if time.Now().After(end) {
			return errors.New("the stored events were not resealed within a minute")
		}
	}
	return q.SetKeys([]seal.Key{next})
}

func mustOpen(t testing.TB, o Options) *Queue {
	t.Helper()
	q, err := Open(o)
	if err == nil {
		t.Cleanup(func() { _ = q.Close() })
		err = q.Unavailable()
	}
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return q
}

func mustClose(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
}

func flush(t testing.TB, q *Queue) {
	t.Helper()
	if err := q.writer.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func sweepAll(t testing.TB, q *Queue) {
	t.Helper()
	for more := true; more; {
		err := q.do(context.Background(), func(tx *tx) (err error) {
			more, err = tx.sweep()
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := dropPartitions(context.Background(), q); err != nil && !partition.Passing(err) {
		t.Fatal(err)
	}
}

// dropPartitions drops the partitions of both tables.
func dropPartitions(ctx context.Context, q *Queue) error {
	return errors.Join(q.partitions.DropHistory(ctx), q.partitions.DropPayloads(ctx))
}
