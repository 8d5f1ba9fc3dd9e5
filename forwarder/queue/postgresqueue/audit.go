package postgresqueue

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// auditEvery is how often the newest line of the audit trail goes with a commit at most, since it
// makes the commit more expensive.
const auditEvery = 100 * time.Millisecond

// audit is the audit trail of this process, and its newest line in the store.
type audit struct {
	holder int64 // of its row

	mu     sync.Mutex
	trail  queue.AuditTrail // nil before KeepAudit
	stored queue.AuditHead
	at     time.Time // when it was stored
}

// newHolder returns a random number that identifies this process.
func newHolder() int64 {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails; without randomness the process ends
	return int64(binary.BigEndian.Uint64(b[:]))
}

// due returns the newest line if the store has had another one for d.
func (a *audit) due(d time.Duration) (head queue.AuditHead, due bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.trail == nil || time.Since(a.at) < d {
		return head, false
	}
	head = a.trail.Newest()
	return head, head.Seq > 0 && head != a.stored
}

// An auditWrite is the newest line in a transaction.
type auditWrite struct {
	head  queue.AuditHead
	taken *bool // whether another process has taken the row over; nil if the line is not written
}

// keep records what the store has. If another process has taken the row over, the trail begins
// anew under another name.
func (a *audit) keep(w auditWrite) {
	if w.taken == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if *w.taken {
		a.trail.Continue(queue.AuditHead{})
		w.head = queue.AuditHead{}
	}
	a.stored, a.at = w.head, time.Now()
}

// The statements for the newest lines.
const (
	takeAudit = `
		INSERT INTO scribegate.audit AS a (node, holder, seq, chain, at) VALUES ($1, $2, 0, '', clock_timestamp())
		ON CONFLICT (node) DO UPDATE SET holder = excluded.holder RETURNING a.seq, a.chain`
	writeAudit = `
		INSERT INTO scribegate.audit AS a (node, holder, seq, chain, at) VALUES ($1, $2, $3, $4, clock_timestamp())
		ON CONFLICT (node) DO UPDATE SET seq = excluded.seq, chain = excluded.chain, at = excluded.at WHERE a.holder = excluded.holder`
	selectAudit = `SELECT node, seq, chain FROM scribegate.audit WHERE seq > 0 ORDER BY node`
)

// queueAudit queues the statement that writes the newest line, if it is due.
func (t *tx) queueAudit(b *pgx.Batch) auditWrite {
	every := auditEvery
	if t.audit {
		every = 0
	}
	head, due := t.q.audit.due(every)
	if !due {
		return auditWrite{}
	}
	w := auditWrite{head, new(bool)}
	b.Queue(t.q.in(writeAudit), head.Node, t.q.audit.holder, head.Seq, head.Chain).Exec(func(tag pgconn.CommandTag) error {
		*w.taken = tag.RowsAffected() == 0
		return nil
	})
	return w
}

// KeepAudit implements queue.AuditKeeper. The name of the node is that of the host. If the
// database cannot be reached, the trail begins under another name.
func (q *Queue) KeepAudit(t queue.AuditTrail) {
	var head queue.AuditHead
	if q.usable() == nil {
		ctx, cancel := context.WithTimeout(q.ctx, claimTimeout)
		defer cancel()
		if err := q.pool.QueryRow(ctx, q.in(takeAudit), q.options.name(), q.audit.holder).Scan(&head.Seq, &head.Chain); err == nil {
			head.Node = q.options.name()
		}
	}
	t.Continue(head)
	q.audit.mu.Lock()
	defer q.audit.mu.Unlock()
	q.audit.trail, q.audit.stored = t, head
}

// AuditHeads implements queue.AuditKeeper.
func (q *Queue) AuditHeads(ctx context.Context) ([]queue.AuditHead, error) {
	ctx, end, err := q.reading(ctx)
	if err != nil {
		return nil, err
	}
	defer end()
	rows, err := q.pool.Query(ctx, q.in(selectAudit))
	if err != nil {
		return nil, q.readError(err)
	}
	heads, err := pgx.CollectRows(rows, pgx.RowToStructByPos[queue.AuditHead])
	return heads, q.readError(err)
}

// AuditKeys implements queue.AuditKeeper.
func (q *Queue) AuditKeys() []seal.AuditKey { return q.ring.Load().Audit() }
