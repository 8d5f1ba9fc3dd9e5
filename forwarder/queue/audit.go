package queue

import (
	"context"
	"time"

	"github.com/scribegate/scribegate/forwarder/seal"
)

// AuditDelay is how long the newest line of the audit trail may wait for a commit.
const AuditDelay = 5 * time.Second

// An AuditHead is the newest line of a node's audit trail.
type AuditHead struct {
	Node  string `json:"node"`
	Seq   int64  `json:"seq"`   // 0 if the node has no line yet
	Chain string `json:"chain"` // the field `chain` of the line
}

// An AuditTrail is the audit trail of this process. Its methods are quick and safe for
// concurrent use.
type AuditTrail interface {
	// Newest returns the newest line that was written.
	Newest() AuditHead

	// Continue makes the trail continue after the head, which is the newest line of this
	// node in the store. Without a Node in the head, the trail begins anew, under a name that no
	// other process has.
	Continue(head AuditHead)
}

// An AuditKeeper is a queue that keeps the newest line of each node's audit trail, so that a
// verification notices lines that were cut off. It is optional: the audit trail of a queue
// that does not keep it has no key, and cannot be verified.
type AuditKeeper interface {
	// KeepAudit calls Continue with the head that the store has of this node, or with an
	// empty one if the store cannot be reached now. From then on the queue stores
	// Newest with the commits that it makes anyway, with one of its own if there is none
	// within AuditDelay, and when it is closed. If another process has continued the
	// trail of this node, the queue calls Continue with an empty head. KeepAudit is called
	// once, before any other method.
	KeepAudit(t AuditTrail)

	// AuditHeads returns the heads of all nodes that the store has.
	AuditHeads(ctx context.Context) ([]AuditHead, error)

	// AuditKeys returns the keys of the audit trail. The first is for new lines. There is
	// at least one.
	AuditKeys() []seal.AuditKey
}
