package sqlitequeue

import (
	"context"
	"encoding/hex"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// auditHeads are the newest lines of the audit trail of each node: of this store, and of those
// that it is a copy of.
type auditHeads struct {
	mu     sync.Mutex
	trail  queue.AuditTrail // of this process; nil before KeepAudit
	stored []queue.AuditHead
	at     time.Time // of the last change of stored
}

// current returns the heads with the newest line of this process.
func (h *auditHeads) current() []queue.AuditHead {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.withNewest()
}

// withNewest is current with h.mu held.
func (h *auditHeads) withNewest() []queue.AuditHead {
	if h.trail == nil {
		return h.stored
	}
	newest := h.trail.Newest()
	i := slices.IndexFunc(h.stored, func(s queue.AuditHead) bool { return s.Node == newest.Node })
	switch {
	case newest.Seq == 0 || i >= 0 && h.stored[i] == newest:
		return h.stored
	case i < 0:
		return append(slices.Clip(h.stored), newest)
	}
	heads := slices.Clone(h.stored)
	heads[i] = newest
	return heads
}

// waits reports whether a line has been newer than the store for at least d.
func (h *auditHeads) waits(d time.Duration) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return time.Since(h.at) >= d && !slices.Equal(h.withNewest(), h.stored)
}

// keep records what the store has.
func (h *auditHeads) keep(heads []queue.AuditHead) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stored, h.at = heads, time.Now()
}

// of returns the head that the store has of a node.
func (h *auditHeads) of(node string) queue.AuditHead {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.stored {
		if s.Node == node {
			return s
		}
	}
	return queue.AuditHead{Node: node}
}

// KeepAudit implements queue.AuditKeeper. The name of the node is the beginning of the store's
// identity, which a copy does not have.
func (q *Queue) KeepAudit(t queue.AuditTrail) {
	t.Continue(q.heads.of(q.node))
	q.heads.mu.Lock()
	defer q.heads.mu.Unlock()
	q.heads.trail = t
}

// readAudit reads the heads, and the name of the node.
func (q *Queue) readAudit(c *tables.Conn, id tables.Identity) error {
	heads, err := tables.ReadAudit(c)
	if err == nil {
		q.heads.keep(heads)
		if q.node == "" {
			q.node = hex.EncodeToString([]byte(id.Store)[:4])
		}
	}
	return err
}

// AuditHeads implements queue.AuditKeeper.
func (q *Queue) AuditHeads(context.Context) ([]queue.AuditHead, error) {
	if err := q.closed(); err != nil {
		return nil, err
	}
	return q.heads.current(), nil
}

// AuditKeys implements queue.AuditKeeper.
func (q *Queue) AuditKeys() []seal.AuditKey { return q.ring.Load().Audit() }
