package adminapi

import (
	"context"
	"net/http"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/caddymodule/internal/results"
	"github.com/scribegate/scribegate/forwarder/queue"
)

func (a *API) recover(ctx context.Context, g *gateway.Gateway, r *http.Request, report queue.Progress) (any, error) {
	var body admin.RecoverRequest
	if err := readSelection(r, &body); err != nil {
		return nil, err
	}
	rec := results.Recovery{Request: body, By: r.RemoteAddr, Report: report.Report}
	var err error
	switch {
	case body.Since != nil && body.Prune != nil:
		return nil, admin.BadRequest("choose since or prune: a prune deletes at Soniox, and recovers nothing")
	case body.Since != nil:
		rec.Since, err = operate.Ago("since", *body.Since)
	case body.Prune != nil:
		rec.Before, err = operate.Ago("prune", *body.Prune)
	}
	if err != nil {
		return nil, err
	}
	done, err := g.Recover(ctx, rec)
	if !body.DryRun && len(done.Recovered)+len(done.Pruned)+len(done.Failed) > 0 {
		a.audit.Recovered(body.Provider, body.Prune != nil, len(done.Recovered)+len(done.Pruned), len(done.Failed), err, audit.ActorOf(r))
	}
	if err != nil {
		return nil, err
	}
	return done, nil
}
