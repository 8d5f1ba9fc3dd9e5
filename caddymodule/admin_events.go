package caddymodule

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// defaultLimit and maxLimit bound a page of events.
const (
	defaultLimit = 100
	maxLimit     = 1000
)

func (a *Admin) events(ctx context.Context, g *gateway, r *http.Request, _ queue.Progress) (any, error) {
	query := r.URL.Query()
	f := queue.Filter{
		State:    queue.State(query.Get("state")),
		Upstream: query.Get("upstream"),
		Limit:    defaultLimit,
		Cursor:   query.Get("cursor"),
	}
	switch f.State {
	case "", queue.Pending, queue.Delivered, queue.Dead, queue.Quarantined:
	default:
		return nil, badRequest("state %q is unknown; it is pending, delivered, dead or quarantined", f.State)
	}
	if limit := query.Get("limit"); limit != "" {
		n, err := strconv.Atoi(limit)
		if err != nil || n < 1 || n > maxLimit {
			return nil, badRequest("limit must be a whole number from 1 to %d", maxLimit)
		}
		f.Limit = n
	}
	history := query.Get("history")
	if history != "" && history != "true" && history != "false" {
		return nil, badRequest("history must be true or false")
	}
	if err := g.knownUpstream(f.Upstream); err != nil {
		return nil, err
	}
	page, err := g.queue.Events(ctx, f)
	if err != nil {
		return nil, err
	}
	out := eventPage{Events: make([]eventRecord, len(page.Records)), NextCursor: page.Next}
	for i, rec := range page.Records {
		out.Events[i] = newEventRecord(rec, history == "true")
	}
	return out, nil
}

// knownUpstream is an error unless the name is empty, configured, or one that
// events are left of.
func (g *gateway) knownUpstream(name string) error {
	if name == "" {
		return nil
	}
	if c := g.configuration(); c != nil && c.upstream(name) != nil {
		return nil
	}
	stats, err := g.stats()
	if err != nil {
		return err
	}
	if _, ok := stats.Upstreams[name]; ok {
		return nil
	}
	return badRequest("upstream %q is unknown; known are: %s", name, strings.Join(g.upstreamNames(stats), ", "))
}

// upstreamNames are those that are configured, and those that events are left of.
func (g *gateway) upstreamNames(stats queue.Stats) []string {
	names := slices.Collect(maps.Keys(stats.Upstreams))
	if c := g.configuration(); c != nil {
		for _, u := range c.Upstreams {
			names = append(names, u.Name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

func (a *Admin) event(ctx context.Context, g *gateway, r *http.Request, _ queue.Progress) (any, error) {
	rec, err := g.queue.Event(ctx, r.PathValue("id"))
	if err != nil {
		return nil, err
	}
	return newEventRecord(rec, true), nil
}

func (a *Admin) payload(ctx context.Context, g *gateway, r *http.Request, _ queue.Progress) (any, error) {
	id := r.PathValue("id")
	if c := g.configuration(); c == nil || !c.AdminPayloads {
		return nil, adminError{http.StatusForbidden, "payloads are not handed out; put admin_payloads into the scribegate block to allow it"}
	}
	e, err := g.queue.Payload(ctx, id)
	if err != nil {
		return nil, err
	}
	rec, err := g.queue.Event(ctx, id)
	if err != nil {
		return nil, err
	}
	a.audit.payloadRead(rec, r)
	a.logger.Warn("a payload was read through the admin API", zap.String("event_id", id), zap.String("remote", r.RemoteAddr))
	return newPayload(e, rec.Quarantined), nil
}
