package operate

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/audit"
	"github.com/scribegate/scribegate/caddymodule/internal/gateway"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Operator performs replays and purges.
type Operator struct {
	Logger *zap.Logger
	Audit  audit.Trail
}

// A Replay is a replay to perform. Its Route is set by the Operator. Without Upstreams it is
// a replay to all that are configured: a delivery to another upstream would wait forever.
type Replay struct {
	queue.ReplaySelection
	group *Group // whose Match the selection has, or nil
}

// A Purge is a purge to perform.
type Purge struct {
	queue.PurgeSelection
	group *Group // whose Match the selection has, or nil
}

// errUndescribed is returned for a selection that the audit trail could not describe.
var errUndescribed = fmt.Errorf("%w: only a group can have a match", queue.ErrInvalid)

// Replay performs a replay, which ends early when the gateway closes. Afterwards it probes the
// upstreams that the deliveries are for, since a replay implies that the backend is back. It
// returns the queue's errors.
func (o Operator) Replay(ctx context.Context, g *gateway.Gateway, r Replay, by audit.Actor) (admin.Replayed, error) {
	if r.Match != nil && r.group == nil {
		return admin.Replayed{}, errUndescribed
	}
	s := r.ReplaySelection
	configured := []string{}
	if c := g.Config(); c != nil {
		configured = c.UpstreamNames()
	}
	for _, name := range r.Upstreams {
		if !slices.Contains(configured, name) {
			return admin.Replayed{}, admin.BadRequest("upstream %q is not configured, so nothing would be delivered to it; configured are: %s", name, strings.Join(configured, ", "))
		}
	}
	if s.Upstreams == nil {
		s.Upstreams = configured
	}
	s.Route = g.Route
	ctx, end, err := g.Begin(ctx)
	if err != nil {
		return admin.Replayed{}, err
	}
	defer end()
	done, err := g.Queue().Replay(ctx, s)
	if done.Deliveries > 0 {
		probe(g, r.Upstreams)
	}
	o.Audit.Replayed(r.ReplaySelection, r.group.about(), done, err, by)
	err = closed(ctx, err)
	if errors.Is(err, queue.ErrUnrouted) {
		err = fmt.Errorf("%w; %s", err, admin.RouteHint)
	}
	if err != nil {
		return admin.Replayed{}, err
	}
	o.Logger.Info("events replayed", with(by, zap.Int("deliveries", done.Deliveries), zap.Int("without_payload", done.WithoutPayload),
		zap.Int("unrouted", done.Unrouted), zap.String("upstream", strings.Join(r.Upstreams, ", ")))...)
	return admin.Replayed{Replayed: done.Deliveries, WithoutPayload: done.WithoutPayload, Unrouted: done.Unrouted}, nil
}

// closed returns the error of an operation: that of a closed queue if the gateway has ended the
// operation early.
func closed(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); err != nil && errors.Is(cause, queue.ErrClosed) {
		return fmt.Errorf("%w before all was done", cause)
	}
	return err
}

// probe probes the upstreams, or all of them if upstreams is nil.
func probe(g *gateway.Gateway, upstreams []string) {
	if upstreams == nil {
		g.Probe("")
	}
	for _, name := range upstreams {
		g.Probe(name)
	}
}

// Purge performs a purge, which ends early when the gateway closes. A dry run writes no line. It
// returns the queue's errors.
func (o Operator) Purge(ctx context.Context, g *gateway.Gateway, p Purge, by audit.Actor) (admin.Purged, error) {
	if p.Match != nil && p.group == nil {
		return admin.Purged{}, errUndescribed
	}
	ctx, end, err := g.Begin(ctx)
	if err != nil {
		return admin.Purged{}, err
	}
	defer end()
	n, err := g.Queue().Purge(ctx, p.PurgeSelection)
	if !p.DryRun {
		o.Audit.Purged(p.PurgeSelection, p.about(), n, err, by)
	}
	if err != nil {
		return admin.Purged{}, closed(ctx, err)
	}
	if !p.DryRun {
		o.Logger.Info("events purged", with(by, zap.Int("events", n))...)
	}
	return admin.Purged{Purged: n}, nil
}

// about returns the fields that describe the Match of the purge in the audit trail.
func (p Purge) about() []zap.Field {
	fields := p.group.about()
	if p.group != nil && p.group.Cause != nil && p.group.Cause.Upstream != "" {
		fields = slices.Insert(fields, 0, zap.String("upstream", p.group.Cause.Upstream))
	}
	return fields
}

// with returns the fields of a log line, with the user's name if it is known.
func with(by audit.Actor, fields ...zap.Field) []zap.Field {
	if by.User != "" {
		fields = append(fields, zap.String("user", by.User))
	}
	return fields
}
