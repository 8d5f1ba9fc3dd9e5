package adminapi

import (
	"context"
	"encoding/hex"
	"net/http"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/chain"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// auditHeads answers with the newest line of the audit trail of each node.
func (a *API) auditHeads(ctx context.Context, g *gateway.Gateway, _ *http.Request, _ queue.Progress) (any, error) {
	heads, err := g.AuditHeads(ctx)
	if heads == nil {
		heads = []queue.AuditHead{}
	}
	return admin.AuditHeads{Heads: heads}, err
}

// verifyAudit answers whether lines of the audit trail are as they were written. The keys stay in
// this process, and the content of the lines in the client's.
func (a *API) verifyAudit(_ context.Context, g *gateway.Gateway, r *http.Request, _ queue.Progress) (any, error) {
	var body admin.AuditVerifyRequest
	if err := readSelection(r, &body); err != nil {
		return nil, err
	}
	if len(body.Lines) > admin.MaxProofs {
		return nil, admin.BadRequest("a request may have %d lines; send the others with further requests", admin.MaxProofs)
	}
	proofs := make([]chain.Proof, len(body.Lines))
	for i, l := range body.Lines {
		digest, err := hex.DecodeString(l.Digest)
		link, ok := chain.ParseLink(l.Chain)
		if err != nil || len(digest) != len(chain.Digest{}) || !ok {
			return nil, admin.BadRequest("line %d has no valid digest and chain", i+1)
		}
		proofs[i] = chain.Proof{Digest: chain.Digest(digest), Link: link}
	}
	verdicts, err := g.CheckAudit(proofs)
	if err != nil {
		return nil, err
	}
	answer := admin.AuditVerified{Verdicts: make([]string, len(verdicts))}
	for i, v := range verdicts {
		answer.Verdicts[i] = string(v)
	}
	return answer, nil
}
