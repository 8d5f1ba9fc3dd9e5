package queuetest

import (
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An auditTrail is the audit trail of a process.
type auditTrail struct {
	mu        sync.Mutex
	newest    queue.AuditHead
	continued []queue.AuditHead
}

// Newest implements queue.AuditTrail.
func (t *auditTrail) Newest() queue.AuditHead {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.newest
}

// Continue implements queue.AuditTrail.
func (t *auditTrail) Continue(head queue.AuditHead) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.continued = append(t.continued, head)
	t.newest = head
	if head.Node == "" {
		t.newest = queue.AuditHead{Node: "own"}
	}
}

// write writes a line.
func (t *auditTrail) write(chain string) queue.AuditHead {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.newest.Seq++
	t.newest.Chain = chain
	return t.newest
}

// keep attaches a new trail to a queue.
func (h *harness) keep(q queue.Queue) *auditTrail {
	t := new(auditTrail)
	q.(queue.AuditKeeper).KeepAudit(t)
	return t
}

// wantHead waits until the store has a head.
func (h *harness) wantHead(q queue.Queue, want queue.AuditHead) {
	h.Helper()
	var heads []queue.AuditHead
	for end := time.Now().Add(4 * queue.AuditDelay); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
		var err error
		if heads, err = q.(queue.AuditKeeper).AuditHeads(h.Context()); err != nil {
			h.Fatalf("AuditHeads: %v", err)
		}
		if slices.Contains(heads, want) {
			return
		}
	}
	h.Fatalf("the store has %+v, want %+v", heads, want)
}

var auditing = []testCase{
	{name: "the newest audited line is kept over restarts", test: func(h *harness) {
		if _, ok := h.Queue.(queue.AuditKeeper); !h.has(ok, "AuditKeeper") {
			return
		}
		if len(h.Queue.(queue.AuditKeeper).AuditKeys()) == 0 {
			h.Error("there is no key")
		}
		t := h.keep(h.Queue)
		if len(t.continued) != 1 || t.newest.Node == "" || t.newest.Seq != 0 {
			h.Fatalf("a new store continues %+v", t.continued)
		}
		t.write("one")
		h.store("a", "ehr")
		h.wantHead(h.Queue, t.write("two")) // without another commit
		want := t.write("three")
		h.reopen() // which stores the newest line
		t = h.keep(h.Queue)
		if t.newest != want {
			h.Errorf("continued %+v, want %+v", t.continued, want)
		}
		want = t.write("four")
		h.wantHead(h.Queue, want)
	}},
	{name: "a process continues after the newest audited line that the store has", test: func(h *harness) {
		if _, ok := h.Queue.(queue.AuditKeeper); !h.has(ok && h.Crash != nil, "AuditKeeper, or Crash") {
			return
		}
		t := h.keep(h.Queue)
		t.write("one")
		h.reopen()
		t = h.keep(h.Queue)
		stored := t.newest
		h.FailWrites(true)
		t.write("two")
		h.Queue = h.Crash(h.settings)
		if t = h.keep(h.Queue); t.newest != stored {
			h.Errorf("continued %+v, want %+v", t.continued, stored)
		}
	}},
	{name: "another process takes the audit trail of a node over", test: func(h *harness) {
		if _, ok := h.Queue.(queue.AuditKeeper); !h.has(ok && h.Join != nil, "AuditKeeper, or Join") {
			return
		}
		first := h.keep(h.Queue)
		h.wantHead(h.Queue, first.write("one"))
		node := h.Join(0)
		second := h.keep(node.Queue)
		if second.newest.Node != first.newest.Node || second.newest.Seq != 1 {
			h.Fatalf("the other node continues %+v", second.continued)
		}
		first.write("two")
		for end := time.Now().Add(4 * queue.AuditDelay); first.Newest().Node != "own"; time.Sleep(20 * time.Millisecond) {
			if time.Now().After(end) {
				h.Fatalf("the first node does not notice: %+v", first.continued)
			}
		}
		h.wantHead(h.Queue, first.write("one of its own"))
		h.wantHead(node.Queue, second.write("two of the other"))
		h.wantHead(h.Queue, second.Newest()) // which the first node did not overwrite
	}},
}
