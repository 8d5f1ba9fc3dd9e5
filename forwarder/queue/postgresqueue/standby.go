package postgresqueue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Storage implements queue.Cluster.
func (q *Queue) Storage() queue.Storage {
	q.totals.mu.Lock()
	defer q.totals.mu.Unlock()
	return queue.Storage{RoundTrip: time.Duration(q.roundTrip.Load()), Standbys: q.totals.last.standbys}
}

// selectStandbys returns the standbys. Without the rights of pg_read_all_stats, all columns
// but the name are NULL. The lag is what a standby has not flushed, since a failover loses that.
const selectStandbys = `
	SELECT coalesce(application_name, ''), coalesce(sync_state IN ('sync', 'quorum'), false), flush_lsn IS NOT NULL,
		coalesce(greatest(0, pg_wal_lsn_diff(CASE WHEN NOT pg_is_in_recovery() THEN pg_current_wal_lsn() END, flush_lsn)), 0)::bigint,
		coalesce(extract(epoch FROM flush_lag), 0)::double precision
	FROM pg_stat_replication WHERE state IS NULL OR state IN ('streaming', 'catchup') ORDER BY 1`

func (c *counts) scanStandbys(rows pgx.Rows) error {
	for rows.Next() {
		var s queue.Standby
		var seconds float64
		if err := rows.Scan(&s.Name, &s.Synchronous, &s.Visible, &s.LagBytes, &seconds); err != nil {
			return err
		}
		if s.LagBytes > 0 { // else it is the time of the last write
			s.Lag = time.Duration(seconds * float64(time.Second))
		}
		c.standbys = append(c.standbys, s)
	}
	return rows.Err()
}

// checkStandby reports a standby that commits do not wait for.
func (q *Queue) checkStandby(ctx context.Context, c *pgx.Conn) error {
	var lagging bool
	err := c.QueryRow(ctx, `SELECT current_setting('synchronous_standby_names') = '' AND EXISTS (SELECT FROM pg_stat_replication)`).Scan(&lagging)
	if lagging {
		q.notice(q.options.name(), "the database has a standby that it does not wait for, so a failover may lose acknowledged events; set synchronous_standby_names in the configuration of the database")
	}
	return err
}
