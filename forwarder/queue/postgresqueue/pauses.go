package postgresqueue

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// pauses are the pauses of upstreams, as this node has read them last.
type pauses struct {
	mu     sync.Mutex // held while heard is called, so that it hears of them in order
	last   queue.Pauses
	newest int64 // version that the users of the queue know
	heard  func(queue.Pauses)
}

// versions returns the version that was read last, and the newest one.
func (p *pauses) versions() (read, newest int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last.Version, p.newest
}

// knows records that the users of the queue know a version.
func (p *pauses) knows(version int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.newest = max(p.newest, version)
}

// set records the pauses.
func (p *pauses) set(all queue.Pauses) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last, p.newest = all, max(p.newest, all.Version)
	if p.heard != nil {
		p.heard(all)
	}
}

// NotifyPauses implements queue.PauseSharer.
func (q *Queue) NotifyPauses(heard func(queue.Pauses)) {
	q.pauses.mu.Lock()
	defer q.pauses.mu.Unlock()
	q.pauses.heard = heard
	if q.pauses.last.Version > 0 {
		heard(q.pauses.last)
	}
}

// The statements about pauses. The version is locked for each change, so that the versions are
// in the order of the commits.
const (
	selectPauses = `
		SELECT v.version, coalesce(p.upstream, ''), coalesce(p.backend, ''), coalesce(p.hold, 0), coalesce(p.probe, 0), coalesce(p.delay, 0), coalesce(p.prober, ''), coalesce(p.probed, '')
		FROM scribegate.pause_version v LEFT JOIN scribegate.pause p ON true`
	lockPauses   = `SELECT version FROM scribegate.pause_version FOR UPDATE`
	selectPause  = `SELECT hold, probe, delay, prober, probed FROM scribegate.pause WHERE upstream = $1 AND backend = $2`
	replacePause = `
		INSERT INTO scribegate.pause (upstream, backend, hold, probe, delay, prober, probed) VALUES ($1, $2, $3, $4, $5, $6, $7)
		ON CONFLICT (upstream, backend) DO UPDATE SET hold = $3, probe = $4, delay = $5, prober = $6, probed = $7`
	countPause   = `UPDATE scribegate.pause_version SET version = $1`
	raiseVersion = `UPDATE scribegate.pause_version SET version = $1 WHERE version < $1`

	// deleteEnded deletes the pauses that have ended, and those of upstreams that no node
	// seems to have any more.
	deleteEnded  = `DELETE FROM scribegate.pause WHERE hold < $1 AND (probe = 0 OR probe < $2)`
	deletePauses = `DELETE FROM scribegate.pause WHERE NOT EXISTS (SELECT FROM scribegate.node WHERE until > clock_timestamp())`
)

// abandonedAfter is how long a pause is kept that nobody ends with a probe.
const abandonedAfter = 24 * time.Hour

// A pauseRow is a row of the table pause, without its key.
type pauseRow struct {
	hold, probe, delay int64
	prober, probed     string
}

func (r *pauseRow) fields() []any { return []any{&r.hold, &r.probe, &r.delay, &r.prober, &r.probed} }

func (q *Queue) pauseOf(r pauseRow, version int64) queue.Pause {
	return queue.Pause{
		Version: version, Hold: q.fromDatabase(policy.Time(r.hold)), Probe: q.fromDatabase(policy.Time(r.probe)),
		Delay: time.Duration(r.delay), Prober: r.prober, Probed: r.probed,
	}
}

func (q *Queue) pauseRowOf(p queue.Pause) pauseRow {
	return pauseRow{
		hold: policy.Nanos(q.toDatabase(p.Hold)), probe: policy.Nanos(q.toDatabase(p.Probe)),
		delay: int64(p.Delay), prober: p.Prober, probed: p.Probed,
	}
}

// ChangePause implements queue.PauseSharer.
func (q *Queue) ChangePause(key queue.PauseKey, change func(queue.Pause) queue.Pause) (p queue.Pause, err error) {
	if err := q.usable(); err != nil {
		return queue.Pause{}, err
	}
	ctx, cancel := context.WithTimeout(q.ctx, claimTimeout)
	defer cancel()
	changed := false
	err = pgx.BeginFunc(ctx, q.pool, func(t pgx.Tx) error {
		p, changed, err = q.changePause(ctx, t, key, change)
		return err
	})
	switch {
	case err != nil && q.ctx.Err() != nil:
		return queue.Pause{}, queue.ErrClosed
	case err != nil:
		return queue.Pause{}, fmt.Errorf("changing the pause of %s: %w", key.Upstream, q.explain(err))
	case changed:
		q.announceTo(paused)
	}
	q.pauses.knows(p.Version)
	return p, nil
}

func (q *Queue) changePause(ctx context.Context, t pgx.Tx, key queue.PauseKey, change func(queue.Pause) queue.Pause) (p queue.Pause, changed bool, err error) {
	var version int64
	var before pauseRow
	b := &pgx.Batch{}
	b.Queue(`SET LOCAL synchronous_commit TO off`)
	b.Queue(q.in(lockPauses)).QueryRow(func(row pgx.Row) error { return row.Scan(&version) })
	b.Queue(q.in(selectPause), key.Upstream, key.Backend).Query(func(rows pgx.Rows) error {
		_, err := pgx.ForEachRow(rows, before.fields(), func() error { return nil })
		return err
	})
	if err := t.SendBatch(ctx, b).Close(); err != nil {
		return p, false, err
	}
	p = q.pauseOf(before, version)
	after := q.pauseRowOf(change(p))
	if after == q.pauseRowOf(p) {
		return p, false, nil
	}
	now := q.now()
	b = &pgx.Batch{}
	b.Queue(q.in(replacePause), key.Upstream, key.Backend, after.hold, after.probe, after.delay, after.prober, after.probed)
	b.Queue(q.in(deleteEnded), policy.Nanos(now), policy.Nanos(now.Add(-abandonedAfter)))
	b.Queue(q.in(countPause), version+1)
	return q.pauseOf(after, version+1), true, t.SendBatch(ctx, b).Close()
}

// readPauses reads all pauses. If the database has lost the newest changes in a failover, their
// versions must not be used again.
func (q *Queue) readPauses(ctx context.Context, c *pgx.Conn) error {
	if _, newest := q.pauses.versions(); newest > 0 {
		if _, err := c.Exec(ctx, q.in(raiseVersion), newest); err != nil {
			return err
		}
	}
	rows, err := c.Query(ctx, q.in(selectPauses))
	if err != nil {
		return err
	}
	all := queue.Pauses{ByKey: make(map[queue.PauseKey]queue.Pause)}
	var key queue.PauseKey
	var r pauseRow
	_, err = pgx.ForEachRow(rows, append([]any{&all.Version, &key.Upstream, &key.Backend}, r.fields()...), func() error {
		if key.Upstream != "" {
			all.ByKey[key] = q.pauseOf(r, all.Version)
		}
		return nil
	})
	if err == nil {
		q.pauses.set(all)
	}
	return err
}

// forgetPauses deletes all pauses if this node is the first one: as after the restart of a
// single gateway, delivery begins at once.
func (q *Queue) forgetPauses(ctx context.Context, c *pgx.Conn) error {
	if q.node.Load() != 0 {
		return nil
	}
	_, err := c.Exec(ctx, q.in(deletePauses))
	return err
}
