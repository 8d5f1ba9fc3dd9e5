package sqlitequeue

import (
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Stats implements queue.Queue.
func (q *Queue) Stats() (queue.Stats, error) {
	if err := q.closed(); err != nil {
		return queue.Stats{}, err
	}
	s := q.counts().Stats()
	s.MaxBytes = q.settings.Load().MaxSize
	s.Unreadable = q.countUnreadable()
	unfiled := q.unfiled.All()
	err := q.claims.With(q.ctx, func(c *tables.Conn) error {
		for _, names := range []map[string]queue.UpstreamStats{s.Upstreams, s.Stages} {
			for name, u := range names {
				u.InFlight = int64(min(q.leases.of(name).count(), int(u.Pending)))
				oldest, err := q.oldestPending(c, name, unfiled)
				if err != nil {
					return err
				}
				u.OldestPending = policy.Time(oldest)
				names[name] = u
			}
		}
		return nil
	})
	if q.ctx.Err() != nil {
		return queue.Stats{}, queue.ErrClosed
	}
	q.repairIfDamaged(err)
	return s, err
}

// oldestPending returns when the oldest event was received that waits for an upstream or
// a stage, or 0. A stage's own blocked events do not count.
func (q *Queue) oldestPending(c *tables.Conn, name string, unfiled []*tables.Record) (receivedAt int64, err error) {
	id, _ := q.upstreams.ID(name)
	blocked := tables.DeliveryBlocked
	if queue.IsStage(name) {
		blocked = tables.DeliveryFirst // which is looked up in any case
	}
	oldest, err := c.Number(`
		SELECT received_at FROM event WHERE seq = (
			SELECT min(seq) FROM (
				SELECT min(seq) AS seq FROM delivery WHERE upstream = ?1 AND state = 0 UNION ALL
				SELECT min(seq) FROM delivery WHERE upstream = ?1 AND state = 1 UNION ALL
				SELECT min(seq) FROM delivery WHERE upstream = ?1 AND state = ?2))`, id, blocked)
	if err != nil || oldest != 0 {
		return oldest, err
	}
	for _, r := range unfiled {
		if d := r.Delivery(name); d != nil && d.State == queue.Pending && (!d.Blocked || !queue.IsStage(name)) {
			return r.ReceivedAt, nil
		}
	}
	return 0, nil
}
