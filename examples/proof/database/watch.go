package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
)

// A watcher reads the sizes of the tables.
type watcher struct {
	server *pgtest.Server
	queue  queue.Queue
	last   int64 // what was stored at the last table
	at     time.Time
}

// sizes has a row for each table, with the sums over its partitions.
const sizes = `
	SELECT regexp_replace(s.relname, '_[0-9]+_[0-9]+$', '') AS name, count(*), sum(s.n_live_tup)::bigint, sum(s.n_dead_tup)::bigint,
		sum(pg_table_size(s.relid))::bigint, sum(pg_indexes_size(s.relid))::bigint, sum(s.autovacuum_count)::bigint
	FROM pg_stat_user_tables s JOIN pg_class c ON c.oid = s.relid
	WHERE s.schemaname = 'scribegate' AND c.relkind = 'r' AND s.relname IN ('event', 'delivery', 'known', 'payload_rest') OR s.relname ~ '_[0-9]+_[0-9]+$'
	GROUP BY 1 ORDER BY 1`

// print prints the table.
func (w *watcher) print(ctx context.Context, l *load) error {
	st, err := w.queue.Stats()
	if err != nil {
		return err
	}
	stored := l.stored.Load()
	rate := float64(stored-w.last) / time.Since(w.at).Seconds()
	if w.at.IsZero() {
		rate = 0
	}
	w.last, w.at = stored, time.Now()
	u := st.Upstreams[upstream]
	fmt.Printf("\n%s: %d stored (%.0f/s), %d refused, %d delivered, %d dead; %d wait; longest store %s\n",
		w.at.Format(time.TimeOnly), stored, rate, l.refused.Load(), l.delivered.Load(), l.dead.Load(), u.Pending, time.Duration(l.longest.Swap(0)).Round(time.Millisecond))
	return w.printSizes(ctx)
}

func (w *watcher) printSizes(ctx context.Context) error {
	return w.server.Query(func(_ context.Context, c *pgx.Conn) error {
		rows, err := c.Query(ctx, sizes)
		if err != nil {
			return err
		}
		table := tabwriter.NewWriter(os.Stdout, 0, 8, 2, ' ', tabwriter.AlignRight)
		fmt.Fprintln(table, "table\tpartitions\trows\tdead rows\tMB\tindexes MB\tautovacuums\t")
		var name string
		var partitions, live, dead, heap, indexes, vacuums int64
		_, err = pgx.ForEachRow(rows, []any{&name, &partitions, &live, &dead, &heap, &indexes, &vacuums}, func() error {
			_, err := fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%.1f\t%.1f\t%d\t\n", name, partitions, live, dead, float64(heap)/1e6, float64(indexes)/1e6, vacuums)
			return err
		})
		if err != nil {
			return err
		}
		return table.Flush()
	})
}

// drained waits until nothing waits, and reports whether that is so within a time.
func (w *watcher) drained(ctx context.Context, limit time.Duration) bool {
	for end := time.Now().Add(limit); time.Now().Before(end) && ctx.Err() == nil; time.Sleep(100 * time.Millisecond) {
		if st, err := w.queue.Stats(); err == nil && st.Upstreams[upstream].Pending == 0 {
			return true
		}
	}
	return false
}
