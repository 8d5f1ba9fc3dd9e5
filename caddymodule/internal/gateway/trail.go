package gateway

import (
	"context"
	"errors"
	"slices"

	"github.com/scribegate/scribegate/caddymodule/internal/build"
	"github.com/scribegate/scribegate/caddymodule/internal/chain"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// newTrail returns the chain of the audit trail of a queue. If the queue cannot keep its newest
// line, the chain has a key that ends with the process.
func newTrail(q queue.Queue) *chain.Chain {
	keeper, ok := q.(queue.AuditKeeper)
	if !ok {
		key := seal.NewTransientAudit()
		return chain.New(build.Version(), func() seal.AuditKey { return key })
	}
	c := chain.New(build.Version(), func() seal.AuditKey { return keeper.AuditKeys()[0] })
	keeper.KeepAudit(c)
	return c
}

// ErrNoAudit is returned if the queue cannot keep the newest line of the audit trail.
var ErrNoAudit = errors.New("this queue does not keep the newest line of the audit trail, so that the trail cannot be verified")

// AuditHeads returns the newest line of the audit trail of each node, or ErrNoAudit.
func (g *Gateway) AuditHeads(ctx context.Context) ([]queue.AuditHead, error) {
	keeper, ok := g.queue.(queue.AuditKeeper)
	if !ok {
		return nil, ErrNoAudit
	}
	heads, err := keeper.AuditHeads(ctx)
	if err != nil {
		return nil, err
	}
	heads = slices.Clone(heads)
	newest := g.trail.Newest()
	for i := range heads {
		if heads[i].Node == newest.Node {
			heads[i] = newest
			return heads, nil
		}
	}
	if newest.Seq > 0 {
		heads = append(heads, newest)
	}
	return heads, nil
}

// CheckAudit returns the verdicts on some lines of the audit trail.
func (g *Gateway) CheckAudit(proofs []chain.Proof) ([]chain.Verdict, error) {
	keeper, ok := g.queue.(queue.AuditKeeper)
	if !ok {
		return nil, ErrNoAudit
	}
	keys := keeper.AuditKeys()
	verdicts := make([]chain.Verdict, len(proofs))
	for i, p := range proofs {
		verdicts[i] = chain.Check(p, keys)
	}
	return verdicts, nil
}
