package postgresqueue

import (
	"cmp"
	"context"
	"fmt"
	"os"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// Nodes implements queue.Cluster.
func (q *Queue) Nodes() ([]queue.Node, error) {
	c, err := q.counted()
	return c.nodes, err
}

// Advice implements queue.Adviser.
func (*Queue) Advice() string {
	return "copy it with pg_dump, or with the backups of the database; its vacuum gives space back"
}

func (c *counts) scanNodes(rows pgx.Rows) error {
	for rows.Next() {
		var n queue.Node
		if err := rows.Scan(&n.Name, &n.LastSeen, &n.Leased, &n.Self); err != nil {
			return err
		}
		c.nodes = append(c.nodes, n)
	}
	return rows.Err()
}

// name returns the name of this node.
func (o *Options) name() string {
	host, _ := os.Hostname()
	return cmp.Or(o.Node, host, "unknown")
}

// register adds this node, with a new id.
func (q *Queue) register(ctx context.Context, c *pgx.Conn) error {
	var id int64
	err := c.QueryRow(ctx, q.in(`
		INSERT INTO scribegate.node (name, sealer, since, seen, until)
		SELECT $1, $2, at, now, now + make_interval(secs => $3) FROM clock_timestamp() AS at, clock_timestamp() AS now RETURNING id`),
		q.options.name(), tables.KeyNumber(q.ring.Load().Sealer()), q.options.Lease.Seconds()).Scan(&id)
	if err == nil {
		q.node.Store(id)
	}
	return err
}

// beat renews the leases of this node. If another node has taken them over, this one goes
// on with a new id, and without leases.
func (q *Queue) beat(ctx context.Context, c *pgx.Conn) error {
	tag, err := c.Exec(ctx, q.in(`
		UPDATE scribegate.node SET seen = n, sealer = $2, until = n + make_interval(secs => $3) FROM clock_timestamp() n WHERE id = $1`),
		q.node.Load(), tables.KeyNumber(q.ring.Load().Sealer()), q.options.Lease.Seconds())
	if err != nil || tag.RowsAffected() == 1 {
		return err
	}
	q.notice(q.options.name(), "this node did not renew its leases in time, and another node has taken its deliveries over; some may be made twice")
	if err := q.register(ctx, c); err != nil {
		return err
	}
	q.recent.Clear()
	for _, l := range q.leases.All() {
		l.Forget(true)
		q.wakeUp(l.Upstream)
	}
	_, err = q.freeOrphans(ctx, c, nil)
	return err
}

// takeOver deletes the nodes that have not renewed their leases, and frees their deliveries.
func (q *Queue) takeOver(ctx context.Context, c *pgx.Conn) (freed int64, err error) {
	rows, err := c.Query(ctx, q.in(`DELETE FROM scribegate.node WHERE until < clock_timestamp() RETURNING name`))
	if err != nil {
		return 0, err
	}
	names, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return 0, err
	}
	return q.freeOrphans(ctx, c, names)
}

// freeOrphans frees the deliveries of all nodes that are not there any more, and reports those
// that were deleted just now. A node leases deliveries until it notices that it was deleted, and
// a transaction that hangs may have locked some: the next call frees those.
func (q *Queue) freeOrphans(ctx context.Context, c *pgx.Conn, deleted []string) (freed int64, err error) {
	tag, err := c.Exec(ctx, q.in(`
		WITH orphans AS MATERIALIZED (
			SELECT d.seq, d.upstream FROM scribegate.delivery d
			WHERE d.node IS NOT NULL AND NOT EXISTS (SELECT FROM scribegate.node n WHERE n.id = d.node) FOR UPDATE OF d SKIP LOCKED)
		UPDATE scribegate.delivery d SET node = NULL FROM orphans o WHERE d.seq = o.seq AND d.upstream = o.upstream`))
	if err != nil {
		return 0, err
	}
	for _, name := range deleted {
		q.notice(name, fmt.Sprintf("the node has not renewed its leases; this node has freed %d deliveries", tag.RowsAffected()))
	}
	if tag.RowsAffected() > 0 {
		for _, l := range q.leases.All() {
			l.Forget(false)
			q.announceTo(l.Upstream)
			q.wakeUp(l.Upstream)
		}
	}
	return tag.RowsAffected(), nil
}

// A stray is a delivery that this node has leased, and does not know of, since the answer of
// the database was lost.
type stray struct {
	seq      int64
	upstream string
}

// freeStrays frees the strays that were found before too, and returns those that it finds.
// Others may be leased just now.
func (q *Queue) freeStrays(ctx context.Context, c *pgx.Conn, before map[stray]bool) (map[stray]bool, error) {
	rows, err := c.Query(ctx, q.in(`SELECT seq, upstream FROM scribegate.delivery WHERE node = $1`), q.node.Load())
	if err != nil {
		return nil, err
	}
	found := make(map[stray]bool)
	var s stray
	_, err = pgx.ForEachRow(rows, []any{&s.seq, &s.upstream}, func() error {
		if !q.leases.Of(s.upstream).Knows(s.seq) {
			found[s] = true
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	for s := range found {
		if !before[s] {
			continue
		}
		if _, err := c.Exec(ctx, q.in(freeRows), q.node.Load(), s.upstream, []int64{s.seq}); err != nil {
			return nil, err
		}
		q.leases.Of(s.upstream).Forget(false)
		q.wakeUp(s.upstream)
	}
	return found, nil
}

// leave removes this node and frees its deliveries.
func (q *Queue) leave(ctx context.Context) {
	if q.Unavailable() != nil {
		return // its leases end by themselves
	}
	b := &pgx.Batch{}
	b.Queue(q.in(`UPDATE scribegate.delivery SET node = NULL WHERE node = $1`), q.node.Load())
	b.Queue(q.in(`DELETE FROM scribegate.node WHERE id = $1`), q.node.Load())
	b.Queue(`SELECT pg_notify($1, $2::bigint || ' ' || $3::text)`, q.channel(), q.node.Load(), everything)
	if age, _ := q.ages(); age > q.lastUsedAt() {
		b.Queue(q.in(tables.SetUsedAt), age)
	}
	if head, due := q.audit.due(0); due {
		b.Queue(q.in(writeAudit), head.Node, q.audit.holder, head.Seq, head.Chain)
	}
	if err := q.pool.SendBatch(ctx, b).Close(); err != nil {
		q.notice(q.options.name(), "this node could not free its deliveries; other nodes take them over when its lease has ended")
	}
}

func (q *Queue) notice(node, text string) {
	if q.options.OnNode != nil {
		q.options.OnNode(Notice{Node: node, Text: text})
	}
}
