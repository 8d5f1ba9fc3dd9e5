package adminapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/go-json-experiment/json"
	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
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

// ago returns the time so long ago.
func ago(name, duration string) (time.Time, error) {
	d, err := caddy.ParseDuration(duration)
	if err != nil || d <= 0 {
		return time.Time{}, admin.BadRequest("%s must be a duration above zero, as in 30m, 1h or 14d", name)
	}
	return time.Now().Add(-d), nil
}

func (a *API) replay(ctx context.Context, g *gateway.Gateway, r *http.Request, report queue.Progress) (any, error) {
	var body admin.ReplayRequest
	if err := readSelection(r, &body); err != nil {
		return nil, err
	}
	sel, err := replaySelection(g, body)
	if err != nil {
		return nil, err
	}
	sel.Progress = report
	done, err := g.Queue().Replay(ctx, sel)
	upstream := ""
	if body.Upstream != nil {
		upstream = *body.Upstream
	}
	if done.Deliveries > 0 {
		g.Probe(upstream) // a replay implies that the backend is back
	}
	a.audit.Replayed(sel, upstream, done, err, r)
	if errors.Is(err, queue.ErrUnrouted) {
		return nil, fmt.Errorf("%w; %s", err, admin.RouteHint)
	}
	if err != nil {
		return nil, err
	}
	a.logger.Info("events replayed", zap.Int("deliveries", done.Deliveries), zap.Int("without_payload", done.WithoutPayload),
		zap.Int("unrouted", done.Unrouted), zap.String("upstream", upstream))
	return admin.Replayed{Replayed: done.Deliveries, WithoutPayload: done.WithoutPayload, Unrouted: done.Unrouted}, nil
}

// replaySelection returns the selection of a replay, with only the upstreams that are
// configured: a delivery to another upstream would wait forever.
func replaySelection(g *gateway.Gateway, b admin.ReplayRequest) (s queue.ReplaySelection, err error) {
	s = queue.ReplaySelection{IDs: b.IDs, Route: g.Route}
	var ok bool
	s.State, ok = b.State()
	if b.Since != "" {
		if s.Since, err = ago("since", b.Since); err != nil {
			return s, err
		}
	}
	if !ok || s.Check() != nil {
		return s, admin.BadRequest(`choose what to replay: {"ids":[...]}, {"dead":true}, {"unrouted":true}, {"unconfirmed":true} or {"since":"1h"}, ` +
			`each with an optional "upstream"`)
	}
	s.Upstreams = []string{}
	if c := g.Config(); c != nil {
		s.Upstreams = c.UpstreamNames()
	}
	if b.Upstream != nil {
		if !slices.Contains(s.Upstreams, *b.Upstream) {
			return s, admin.BadRequest("upstream %q is not configured, so nothing would be delivered to it; configured are: %s", *b.Upstream, strings.Join(s.Upstreams, ", "))
		}
		s.Upstreams = []string{*b.Upstream}
	}
	return s, nil
}

func (a *API) purge(ctx context.Context, g *gateway.Gateway, r *http.Request, report queue.Progress) (any, error) {
	var body admin.PurgeRequest
	if err := readSelection(r, &body); err != nil {
		return nil, err
	}
	sel, err := purgeSelection(g, body)
	if err != nil {
		return nil, err
	}
	sel.Progress = report
	n, err := g.Queue().Purge(ctx, sel)
	if !sel.DryRun {
		a.audit.Purged(sel, n, err, r)
	}
	if errors.Is(err, queue.ErrPending) {
		return nil, fmt.Errorf("%w; use force to delete it anyway", err)
	}
	if err != nil {
		return nil, err
	}
	if !sel.DryRun {
		a.logger.Info("events purged", zap.Int("events", n))
	}
	return admin.Purged{Purged: n}, nil
}

// purgeSelection returns the selection of a purge.
func purgeSelection(g *gateway.Gateway, b admin.PurgeRequest) (s queue.PurgeSelection, err error) {
	s = queue.PurgeSelection{IDs: b.IDs, Force: b.Force, Upstream: b.Upstream, DryRun: b.DryRun}
	var ok bool
	s.State, ok = b.State()
	if b.Before != nil {
		if s.Before, err = ago("before", *b.Before); err != nil {
			return s, err
		}
	}
	if !ok || s.Check() != nil {
		return s, admin.BadRequest(`choose what to purge: {"ids":[...]}, with an optional "force", {"dead":true}, {"quarantined":true}, {"unrouted":true} or ` +
			`{"unconfirmed":true}, each with an optional "before", or {"upstream":"..."}; all with an optional "dry_run"`)
	}
	return s, knownUpstream(g, b.Upstream)
}
