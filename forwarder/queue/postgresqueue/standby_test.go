//go:build postgres

package postgresqueue

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// While the synchronous standby is away, a commit waits for it. The database commits without
// it where somebody cancels that wait, or ends the session: then the event is visible, and only
// on the primary. No node acknowledges it before it is on both, as a duplicate neither, and it
// is stored once.
func TestCommitWithoutStandby(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"pg_cancel_backend", "pg_terminate_backend"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			primary := startServer(t, pgtest.Options{Durable: true})
			standby, err := primary.Standby()
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(standby.Stop)
			if err := primary.Synchronize(); err != nil {
				t.Fatal(err)
			}
			key := seal.NewKey()
			open := func() *Queue {
				return mustOpen(t, Options{DSN: primary.DSN(), Keys: []seal.Key{key}, Settings: queue.DefaultSettings(), Lease: time.Hour})
			}
			a, b := open(), open()
			put(t, a, "before", "ehr")
			standby.Kill()

			store := func(q *Queue, limit time.Duration) <-chan error {
				done := make(chan error, 1)
				go func() {
					ctx, cancel := context.WithTimeout(t.Context(), limit)
					defer cancel()
					r, err := q.Store(ctx, queue.Item{Event: queuetest.Event("event", time.Now()), Upstreams: []string{"ehr"}})
					if err == nil && r.Duplicate {
						err = errDuplicate
					}
					done <- err
				}()
				return done
			}
			first := store(a, time.Minute)
			cancelled := 0
			within(t, 20*time.Second, "the commits of the first node are cancelled while they wait", func() bool {
				n := 0
				if err := query(primary, &n, `
					SELECT count(*) FROM (SELECT `+end+`(pid) FROM pg_stat_activity
					WHERE wait_event = 'SyncRep' AND query ILIKE 'commit' AND backend_type = 'client backend') c`); err != nil {
					t.Fatal(err)
				}
				cancelled += n
				return cancelled > 3
			})
			stored := 0
			if err := query(primary, &stored, `SELECT count(*) FROM scribegate.event WHERE id = 'event'`); err != nil || stored != 1 {
				t.Fatalf("the primary has %d events, %v; want the one that was committed without the standby", stored, err)
			}
			if err := <-store(b, commitTimeout+3*time.Second); err == nil || errors.Is(err, errDuplicate) {
				t.Errorf("while the event is only on the primary, another node has acknowledged it: %v", err)
			}
			select {
			case err := <-first:
				t.Fatalf("the first node has returned %v before the event was on the standby", err)
			default:
			}

			if err := standby.Launch(); err != nil {
				t.Fatal(err)
			}
			if err := <-first; err != nil {
				t.Errorf("with the standby: %v", err)
			}
			within(t, 10*time.Second, "the standby has the event", func() bool {
				return query(standby, &stored, `SELECT count(*) FROM scribegate.event WHERE id = 'event'`) == nil && stored == 1
			})
			if err := <-store(b, time.Minute); !errors.Is(err, errDuplicate) {
				t.Errorf("the other node: %v, want a duplicate", err)
			}
			var ids []string
			within(t, 10*time.Second, "both events are due", func() bool {
				for _, q := range []*Queue{a, b} {
					some, _ := claims(t, q, "ehr")
					ids = append(ids, some...)
				}
				return len(ids) >= 2
			})
			if len(ids) != 2 || ids[0] == ids[1] {
				t.Errorf("claimed %v, want each event once", ids)
			}
		})
	}
}

var errDuplicate = errors.New("a duplicate")

// query reads one value as the superuser.
func query(s *pgtest.Server, value any, text string) error {
	return s.Query(func(ctx context.Context, c *pgx.Conn) error { return c.QueryRow(ctx, text).Scan(value) })
}
