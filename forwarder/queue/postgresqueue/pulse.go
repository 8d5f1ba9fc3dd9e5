package postgresqueue

import (
	"context"
	"errors"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	pollEvery  = time.Second
	beatShare  = 4 // renewals in the time of a lease
	strayEvery = 10 * time.Second
	retryStart = time.Second // before a lost connection is made again
)

// pulse renews the leases, takes over those of dead nodes, listens to the other nodes, and
// polls, until the queue is closed. It has a connection of its own.
func (q *Queue) pulse() {
	for q.ctx.Err() == nil {
		err := q.listen()
		if q.ctx.Err() != nil {
			return
		}
		if e := q.Unavailable(); e != nil && err != nil {
			q.suspend(err)
		}
		select {
		case <-q.ctx.Done():
		case <-time.After(retryStart):
		}
	}
}

// listen does the work of pulse on one connection, until that fails.
func (q *Queue) listen() error {
	ctx, cancel := context.WithTimeout(q.ctx, openWait)
	defer cancel()
	if q.Unavailable() != nil {
		if err := q.start(ctx); err != nil {
			return err
		}
	}
	c, err := q.connect(ctx)
	if err != nil {
		return err
	}
	defer closeConn(c)
	if _, err := c.Exec(ctx, `LISTEN `+pgx.Identifier{q.channel()}.Sanitize()); err != nil {
		return err
	}
	q.reread() // of what happened without a connection
	if err := q.beat(ctx, c); err != nil {
		return err
	}
	if err := q.readPauses(ctx, c); err != nil {
		return err
	}
	since, beat, looked := time.Now(), time.Now(), time.Now()
	var strays map[stray]bool
	for q.ctx.Err() == nil {
		ctx, cancel := context.WithTimeout(q.ctx, claimTimeout)
		var err error
		if time.Since(beat) >= q.options.Lease/beatShare {
			beat = time.Now()
			err = q.beat(ctx, c)
		}
		dead := false
		if err == nil {
			dead, err = q.poll(ctx, c)
		}
		// After the database was away, each node gets the time to renew its leases.
		if err == nil && dead && time.Since(since) >= q.options.Lease/2 {
			_, err = q.takeOver(ctx, c)
		}
		if err == nil && time.Since(looked) >= strayEvery {
			looked = time.Now()
			if strays, err = q.freeStrays(ctx, c, strays); err == nil {
				_, err = q.freeOrphans(ctx, c, nil)
			}
		}
		cancel()
		if err == nil {
			err = q.await(c, pollEvery)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// await handles notifications for a while, or until one of them is about what poll finds.
func (q *Queue) await(c *pgx.Conn, d time.Duration) error {
	ctx, cancel := context.WithTimeout(q.ctx, d)
	defer cancel()
	for {
		n, err := c.WaitForNotification(ctx)
		switch {
		case ctx.Err() != nil && (err == nil || pgconn.Timeout(err) || errors.Is(err, context.Canceled)):
			return nil
		case err != nil:
			return err
		case !q.options.deaf && q.hear(n.Payload):
			return nil
		}
	}
}

// pollText finds out for each name whether a first delivery is free and when the first free
// retry is due, whether a node is dead, whether events were purged or a pause has changed, and
// the time. It reads one entry of an index for each
// of these, from where the node has found none before: an index also has the entries of what
// was deleted, for as long as a transaction of anybody lasts.
const pollText = `
	SELECT clock_timestamp(), EXISTS (SELECT FROM scribegate.node WHERE until < clock_timestamp()), m.purges, v.version, u.name, coalesce(f.seq, 0), coalesce(r.due, 0)
	FROM scribegate.meta m CROSS JOIN scribegate.pause_version v CROSS JOIN (SELECT '' AS name, 0::bigint AS low UNION ALL SELECT * FROM unnest($1::text[], $2::bigint[])) u
	LEFT JOIN LATERAL (
		SELECT d.seq FROM scribegate.delivery d
		WHERE d.upstream = u.name AND d.state = 0 AND d.node IS NULL AND d.seq >= u.low ORDER BY d.seq LIMIT 1) f ON true
	LEFT JOIN LATERAL (
		SELECT d.due FROM scribegate.delivery d WHERE d.upstream = u.name AND d.state = 1 AND d.node IS NULL ORDER BY d.due LIMIT 1) r ON true`

// poll finds deliveries that other nodes have made due, their purges and their pauses, and
// reports whether a node is dead.
func (q *Queue) poll(ctx context.Context, c *pgx.Conn) (dead bool, err error) {
	all := q.leases.All()
	names, lows := make([]string, 0, len(all)), make([]int64, 0, len(all))
	for _, l := range all {
		names, lows = append(names, l.Upstream), append(lows, l.Lowest())
	}
	before, began := q.options.Now(), time.Now()
	rows, err := c.Query(ctx, q.in(pollText), names, lows)
	if err != nil {
		return false, err
	}
	var at, now time.Time
	var name string
	var purges, pauses, seq, due int64
	_, err = pgx.ForEachRow(rows, []any{&at, &dead, &purges, &pauses, &name, &seq, &due}, func() error {
		if now = at; name != "" && q.leases.Of(name).Found(seq, due) {
			q.wakeUp(name)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	q.roundTrip.Store(int64(time.Since(began)))
	set := q.compareClock(before, now)
	if q.purges.Swap(purges) != purges {
		q.recent.Clear()
	}
	if read, _ := q.pauses.versions(); set || read != pauses {
		err = q.readPauses(ctx, c)
	}
	return dead, err
}
