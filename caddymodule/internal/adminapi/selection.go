package adminapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/go-json-experiment/json"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/caddymodule/internal/operate"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// MaxSelection is the largest body that names events, in bytes.
const MaxSelection = 8 << 20

// readSelection reads a body that is one JSON object of members that are known,
// each at most once, and nothing else.
func readSelection(r *http.Request, into any) error {
	err := json.UnmarshalRead(http.MaxBytesReader(nil, r.Body, MaxSelection), into, json.RejectUnknownMembers(true))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return admin.BadRequest("the body is larger than 8 MiB; name fewer events at a time")
	}
	if err != nil {
		return admin.BadRequest("the body must be one JSON object with known members only, each given once")
	}
	return nil
}

func (a *API) replay(ctx context.Context, g *gateway.Gateway, r *http.Request, report queue.Progress) (any, error) {
	var body admin.ReplayRequest
	if err := readSelection(r, &body); err != nil {
		return nil, err
	}
	replay, err := operate.NewReplay(body)
	if err != nil {
		return nil, err
	}
	replay.Progress = report
	return a.operator.Replay(ctx, g, replay, audit.ActorOf(r))
}

func (a *API) purge(ctx context.Context, g *gateway.Gateway, r *http.Request, report queue.Progress) (any, error) {
	var body admin.PurgeRequest
	if err := readSelection(r, &body); err != nil {
		return nil, err
	}
	purge, err := operate.NewPurge(g, body)
	if err != nil {
		return nil, err
	}
	purge.Progress = report
	done, err := a.operator.Purge(ctx, g, purge, audit.ActorOf(r))
	if errors.Is(err, queue.ErrPending) {
		err = fmt.Errorf("%w; use force to delete it anyway", err)
	}
	return done, err
}
