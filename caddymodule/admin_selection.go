package caddymodule

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

	"github.com/scribegate/scribegate/forwarder/queue"
)

// replayRequest is the body of a replay. An optional member that is there and
// empty is a mistake, such as a variable of a script that is unset, and never
// means everything.
type replayRequest struct {
	IDs         []string `json:"ids,omitempty"`
	Dead        bool     `json:"dead,omitempty"`
	Unrouted    bool     `json:"unrouted,omitempty"`
	Unconfirmed bool     `json:"unconfirmed,omitempty"`
	Since       string   `json:"since,omitempty"`
	Upstream    *string  `json:"upstream,omitempty"`
}

// purgeRequest is the body of a purge.
type purgeRequest struct {
	IDs         []string `json:"ids,omitempty"`
	Force       bool     `json:"force,omitempty"`
	Dead        bool     `json:"dead,omitempty"`
	Quarantined bool     `json:"quarantined,omitempty"`
	Unrouted    bool     `json:"unrouted,omitempty"`
	Unconfirmed bool     `json:"unconfirmed,omitempty"`
	Upstream    string   `json:"upstream,omitempty"`
	Before      *string  `json:"before,omitempty"`
	DryRun      bool     `json:"dry_run,omitempty"`
}

// replayed is the answer to a replay, and purged that to a purge.
type (
	replayed struct {
		Replayed       int `json:"replayed"`           // deliveries
		WithoutPayload int `json:"without_payload"`    // events that were skipped
		Unrouted       int `json:"unrouted,omitempty"` // events that were skipped, since no upstream accepts them
	}
	purged struct {
		Purged int `json:"purged"` // events
	}
)

// maxSelection bounds the body that names events.
const maxSelection = 8 << 20

// readSelection reads a body that is one JSON object of members that are known,
// each at most once, and nothing else.
func readSelection(r *http.Request, into any) error {
	err := json.UnmarshalRead(http.MaxBytesReader(nil, r.Body, maxSelection), into, json.RejectUnknownMembers(true))
	if _, tooLarge := errors.AsType[*http.MaxBytesError](err); tooLarge {
		return badRequest("the body is larger than 8 MiB; name fewer events at a time")
	}
	if err != nil {
		return badRequest("the body must be one JSON object with known members only, each given once")
	}
	return nil
}

// selectedState returns the state that is set, or "" if none is. It reports false
// if several are.
func selectedState(set map[queue.State]bool) (state queue.State, ok bool) {
	for s, is := range set {
		switch {
		case !is:
		case state != "":
			return "", false
		default:
			state = s
		}
	}
	return state, true
}

// routeHint says what to change so that an unrouted event can be replayed.
const routeHint = "add its type to the `events` of an upstream that its handler delivers to, then replay it"

// ago returns the time so long ago.
func ago(name, duration string) (time.Time, error) {
	d, err := caddy.ParseDuration(duration)
	if err != nil || d <= 0 {
		return time.Time{}, badRequest("%s must be a duration above zero, as in 30m, 1h or 14d", name)
	}
	return time.Now().Add(-d), nil
}

func (a *Admin) replay(ctx context.Context, g *gateway, r *http.Request, report queue.Progress) (any, error) {
	var body replayRequest
	if err := readSelection(r, &body); err != nil {
		return nil, err
	}
	sel, err := body.selection(g)
	if err != nil {
		return nil, err
	}
	sel.Progress = report
	done, err := g.queue.Replay(ctx, sel)
	upstream := ""
	if body.Upstream != nil {
		upstream = *body.Upstream
	}
	if done.Deliveries > 0 {
		g.dispatcher.Probe(upstream) // a replay implies that the backend is back
	}
	a.audit.replayed(sel, upstream, done, err, r)
	if errors.Is(err, queue.ErrUnrouted) {
		return nil, fmt.Errorf("%w; %s", err, routeHint)
	}
	if err != nil {
		return nil, err
	}
	a.logger.Info("events replayed", zap.Int("deliveries", done.Deliveries), zap.Int("without_payload", done.WithoutPayload),
		zap.Int("unrouted", done.Unrouted), zap.String("upstream", upstream))
	return replayed{Replayed: done.Deliveries, WithoutPayload: done.WithoutPayload, Unrouted: done.Unrouted}, nil
}

// selection returns the selection of the replay, with only the upstreams that are
// configured: a delivery to another one would wait without end.
func (b replayRequest) selection(g *gateway) (s queue.ReplaySelection, err error) {
	s = queue.ReplaySelection{IDs: b.IDs, Route: g.upstreamsNow}
	var oneState bool
	s.State, oneState = selectedState(map[queue.State]bool{queue.Dead: b.Dead, queue.Unrouted: b.Unrouted, queue.Unconfirmed: b.Unconfirmed})
	if b.Since != "" {
		if s.Since, err = ago("since", b.Since); err != nil {
			return s, err
		}
	}
	if !oneState || s.Check() != nil {
		return s, badRequest(`choose what to replay: {"ids":[...]}, {"dead":true}, {"unrouted":true}, {"unconfirmed":true} or {"since":"1h"}, ` +
			`each with an optional "upstream"`)
	}
	s.Upstreams = []string{}
	if c := g.configuration(); c != nil {
		for _, u := range c.Upstreams {
			s.Upstreams = append(s.Upstreams, u.Name)
		}
	}
	if b.Upstream != nil {
		if !slices.Contains(s.Upstreams, *b.Upstream) {
			return s, badRequest("upstream %q is not configured, so nothing would be delivered to it; configured are: %s", *b.Upstream, strings.Join(s.Upstreams, ", "))
		}
		s.Upstreams = []string{*b.Upstream}
	}
	return s, nil
}

func (a *Admin) purge(ctx context.Context, g *gateway, r *http.Request, report queue.Progress) (any, error) {
	var body purgeRequest
	if err := readSelection(r, &body); err != nil {
		return nil, err
	}
	sel, err := body.selection(g)
	if err != nil {
		return nil, err
	}
	sel.Progress = report
	n, err := g.queue.Purge(ctx, sel)
	if !sel.DryRun {
		a.audit.purged(sel, n, err, r)
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
	return purged{Purged: n}, nil
}

// selection returns the selection of the purge.
func (b purgeRequest) selection(g *gateway) (s queue.PurgeSelection, err error) {
	s = queue.PurgeSelection{IDs: b.IDs, Force: b.Force, Upstream: b.Upstream, DryRun: b.DryRun}
	var oneState bool
	s.State, oneState = selectedState(map[queue.State]bool{
		queue.Dead: b.Dead, queue.Quarantined: b.Quarantined, queue.Unrouted: b.Unrouted, queue.Unconfirmed: b.Unconfirmed,
	})
	if b.Before != nil {
		if s.Before, err = ago("before", *b.Before); err != nil {
			return s, err
		}
	}
	if !oneState || s.Check() != nil {
		return s, badRequest(`choose what to purge: {"ids":[...]}, with an optional "force", {"dead":true}, {"quarantined":true}, {"unrouted":true} or ` +
			`{"unconfirmed":true}, each with an optional "before", or {"upstream":"..."}; all with an optional "dry_run"`)
	}
	return s, g.knownUpstream(b.Upstream)
}
