package main

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
)

// waitingCounts returns the numbers of waiting events that are measured.
func (o options) waitingCounts() []int { return []int{0, o.large / 100, o.large / 10, o.large} }

// sweepBacklog measures the acceptance of events while different numbers of events wait for a
// paused upstream. The largest backlog is made once. The others are made again in each round,
// so that they do not grow by the events of the slices.
func (b *bench) sweepBacklog(ctx context.Context, all figures.Outcomes) (s sweep, err error) {
	s = sweep{name: "waiting", unit: "event", counts: b.waitingCounts(), show: figures.ShortCount}
	b.logf("growth: %s waiting events", figures.Thousands(b.large))
	g, largest, err := b.withBacklog(ctx, b.large)
	if err != nil {
		return s, err
	}
	defer g.CloseInto(&err)
	most := b.large
	turns := slices.Clone(s.counts)
	for round := range b.rounds {
		b.logf("growth: round %d of %d with a backlog", round+1, b.rounds)
		figures.Shuffle(turns)
		for _, n := range turns {
			var one figures.Sample
			if n == b.large {
				largest.settled = func(ctx context.Context, g *gateway.Gateway, accepted int) error {
					most = accepted
					return stillPaused(ctx, g, accepted)
				}
				largest.backlog = most
				one, err = b.load(ctx, g, largest)
			} else {
				one, err = b.loadWithBacklog(ctx, n)
			}
			if ctx.Err() != nil {
				return s, errors.Join(context.Cause(ctx), err)
			}
			b.add(all, s.key(n), one, err)
		}
	}
	return s, nil
}

// withBacklog starts a gateway with this number of waiting events, and returns it with the
// trial for it. The caller must close the gateway.
func (b *bench) withBacklog(ctx context.Context, number int) (g *gateway.Gateway, t trial, err error) {
	t = trial{requests: b.notes(usualBody), connections: usualConnections, lasts: b.short(), backlog: number, ready: whenPaused, settled: stillPaused}
	c, err := unreachable(ctx, 1)
	if err != nil {
		return nil, t, err
	}
	if g, err = b.newGateway(ctx); err != nil {
		return nil, t, err
	}
	err = g.Start(ctx, c, nil)
	if err == nil {
		err = b.fill(ctx, g, t.requests, number)
	}
	if err != nil {
		err = fmt.Errorf("making a backlog: %w", err)
		g.CloseInto(&err)
		return nil, t, err
	}
	return g, t, nil
}

// loadWithBacklog measures a new gateway with this number of waiting events.
func (b *bench) loadWithBacklog(ctx context.Context, number int) (s figures.Sample, err error) {
	g, t, err := b.withBacklog(ctx, number)
	if err != nil {
		return s, err
	}
	defer g.CloseInto(&err)
	return b.load(ctx, g, t)
}
