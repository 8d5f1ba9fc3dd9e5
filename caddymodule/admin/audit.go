package admin

import "github.com/scribegate/scribegate/forwarder/queue"

// AuditHeads is the newest line of the audit trail of each node.
type AuditHeads struct {
	Heads []queue.AuditHead `json:"heads"`
}

// MaxProofs is the maximum number of lines in an AuditVerifyRequest.
const MaxProofs = 10000

// An AuditVerifyRequest asks whether lines of the audit trail are as they were written. It has no
// content of the lines.
type AuditVerifyRequest struct {
	Lines []AuditProof `json:"lines"`
}

// An AuditProof stands for a line of the audit trail.
type AuditProof struct {
	Digest string `json:"digest"` // of the line's content: 64 hex digits
	Chain  string `json:"chain"`  // the line's field `chain`
}

// AuditVerified is the answer to an AuditVerifyRequest: a verdict for each line, in their order.
// It is "right", "wrong", "unknown_key" if the key is not configured any more, or "without_key" if
// the line was written without a store.
type AuditVerified struct {
	Verdicts []string `json:"verdicts"`
}
