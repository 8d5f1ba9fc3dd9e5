package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// waitingCounts are how many events wait.
func (o options) waitingCounts() []int { return []int{0, o.large / 100, o.large / 10, o.large} }

// sweepBacklog measures accepting while more and more events wait, for an
// upstream that is paused. The largest backlog is made once; the others are made
// anew in each round, so that what the slices themselves leave does not count.
func (b *bench) sweepBacklog(ctx context.Context, all outcomes) (s sweep, err error) {
	s = sweep{name: "waiting", unit: "event", counts: b.waitingCounts(), show: shortCount}
	b.say("growth: %s waiting events", thousands(b.large))
	g, fresh, err := b.withBacklog(ctx, b.large)
	if err != nil {
		return s, err
	}
	defer g.closeInto(&err)
	most := b.large
	turns := slices.Clone(s.counts)
	for round := range b.rounds {
		b.say("growth: round %d of %d with a backlog", round+1, b.rounds)
		shuffle(turns)
		for _, n := range turns {
			var one sample
			if n == b.large {
				fresh.settled = func(ctx context.Context, g *gateway, accepted int) error {
					most = accepted
					return stillPaused(ctx, g, accepted)
				}
				fresh.backlog = most
				one, err = b.load(ctx, g, fresh)
			} else {
				one, err = b.beside(ctx, n)
			}
			if ctx.Err() != nil {
				return s, errors.Join(context.Cause(ctx), err)
			}
			b.add(all, s.key(n), one, err)
		}
	}
	return s, nil
}

// withBacklog starts a gateway for which so many events wait, and returns the
// trial to put it through. The caller closes it.
func (b *bench) withBacklog(ctx context.Context, number int) (g *gateway, t trial, err error) {
	t = trial{order: b.notes(usualBody), connections: usualConnections, lasts: b.short(), backlog: number, ready: whenPaused, settled: stillPaused}
	c, err := away(ctx, 1)
	if err != nil {
		return nil, t, err
	}
	if g, err = b.newGateway(ctx); err != nil {
		return nil, t, err
	}
	err = g.start(ctx, c, nil)
	if err == nil {
		err = b.fill(ctx, g, t.order, number)
	}
	if err != nil {
		err = fmt.Errorf("making a backlog: %w", err)
		g.closeInto(&err)
		return nil, t, err
	}
	return g, t, nil
}

// beside measures a gateway of its own, for which so many events wait.
func (b *bench) beside(ctx context.Context, number int) (s sample, err error) {
	g, t, err := b.withBacklog(ctx, number)
	if err != nil {
		return s, err
	}
	defer g.closeInto(&err)
	return b.load(ctx, g, t)
}
