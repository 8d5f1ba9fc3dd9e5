package operate

import (
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// NewReplay returns the replay of a request.
func NewReplay(b admin.ReplayRequest) (r Replay, err error) {
	r.IDs = b.IDs
	var ok bool
	r.State, ok = b.State()
	if b.Since != "" {
		if r.Since, err = Ago("since", b.Since); err != nil {
			return r, err
		}
	}
	if !ok || r.Check() != nil {
		return r, admin.BadRequest(`choose what to replay: {"ids":[...]}, {"dead":true}, {"unrouted":true}, {"unconfirmed":true} or {"since":"1h"}, ` +
			`each with an optional "upstream"`)
	}
	if b.Upstream != nil {
		r.Upstreams = []string{*b.Upstream}
	}
	return r, nil
}

// NewPurge returns the purge of a request.
func NewPurge(g *gateway.Gateway, b admin.PurgeRequest) (p Purge, err error) {
	p.PurgeSelection = queue.PurgeSelection{IDs: b.IDs, Force: b.Force, Upstream: b.Upstream, DryRun: b.DryRun}
	var ok bool
	p.State, ok = b.State()
	if b.Before != nil {
		if p.Before, err = Ago("before", *b.Before); err != nil {
			return p, err
		}
	}
	if !ok || p.Check() != nil {
		return p, admin.BadRequest(`choose what to purge: {"ids":[...]}, with an optional "force", {"dead":true}, {"quarantined":true}, {"unrouted":true} or ` +
			`{"unconfirmed":true}, each with an optional "before", or {"upstream":"..."}; all with an optional "dry_run"`)
	}
	return p, KnownUpstream(g, b.Upstream)
}

// Ago returns the time so long ago. name is that of the parameter, for the error.
func Ago(name, duration string) (time.Time, error) {
	d, err := caddy.ParseDuration(duration)
	if err != nil || d <= 0 {
		return time.Time{}, admin.BadRequest("%s must be a duration above zero, as in 30m, 1h or 14d", name)
	}
	return time.Now().Add(-d), nil
}

// KnownUpstream returns an error unless the name is empty, configured, or one that
// events are left of.
func KnownUpstream(g *gateway.Gateway, name string) error {
	if name == "" {
		return nil
	}
	if c := g.Config(); c != nil && slices.Contains(c.UpstreamNames(), name) {
		return nil
	}
	stats, err := g.Stats()
	if err != nil {
		return err
	}
	if _, ok := stats.Upstreams[name]; ok {
		return nil
	}
	return admin.BadRequest("upstream %q is unknown; known are: %s", name, strings.Join(UpstreamNames(g, stats), ", "))
}

// UpstreamNames returns the upstreams that are configured, and those that events
// are left of.
func UpstreamNames(g *gateway.Gateway, stats queue.Stats) []string {
	names := slices.Collect(maps.Keys(stats.Upstreams))
	if c := g.Config(); c != nil {
		names = append(names, c.UpstreamNames()...)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
