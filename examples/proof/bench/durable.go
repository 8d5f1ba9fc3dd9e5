package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// accept runs a trial of a gateway that stores events for a paused upstream, at whose address
// no program listens.
func (b *bench) accept(ctx context.Context, t trial) (sample, error) {
	return b.acceptFor(ctx, t, 1)
}

// acceptFor is accept with several upstreams, all paused.
func (b *bench) acceptFor(ctx context.Context, t trial, upstreams int) (sample, error) {
	c, err := unreachable(ctx, upstreams)
	if err != nil {
		return sample{}, err
	}
	t.ready, t.settled = whenPaused, stillPaused
	return b.run(ctx, c, t)
}

// unreachable returns a configuration with upstreams at whose addresses no program listens.
func unreachable(ctx context.Context, number int) (configuration, error) {
	ports, err := stage.Ports(ctx, number)
	if err != nil {
		return configuration{}, err
	}
	all := make([]upstream, 0, number)
	for i, port := range ports {
		all = append(all, upstream{name: fmt.Sprintf("unreachable-%d", i+1), url: "http://127.0.0.1:" + port + "/events"})
	}
	return durable(all...), nil
}

// whenPaused waits until the upstreams are paused because of the events of the warm-up.
func whenPaused(ctx context.Context, g *gateway, accepted int) error {
	if accepted == 0 { // all requests are forged
		return nil
	}
	return g.await(ctx, paused)
}

// stillPaused checks that every accepted event waits, and that none was delivered.
func stillPaused(ctx context.Context, g *gateway, accepted int) error {
	return g.await(ctx, func(u upstreamStatus) error {
		if accepted == 0 {
			return waiting(0)(u)
		}
		return errors.Join(paused(u), waiting(accepted)(u))
	})
}

// deliver runs a trial of a gateway whose upstream accepts all events.
func (b *bench) deliver(ctx context.Context, name string, to func(backend string) upstream) (s sample, err error) {
	r, err := newResponder(ctx, "0")
	if err != nil {
		return s, err
	}
	accepted := 0
	s, err = b.run(ctx, durable(to(r.start().address())), trial{
		name: name, requests: b.notes(usualBody), connections: usualConnections, backend: r,
		settled: func(ctx context.Context, g *gateway, n int) error {
			accepted = n
			return g.await(ctx, waiting(0))
		},
	})
	r.close()
	if err != nil {
		return s, err
	}
	return s, eachOnce(r.deliveries(), accepted)
}

// longTimeout is the option of a hanging upstream, so that no attempt ends during a trial.
const longTimeout = "timeout 1h"

// hanging runs a trial of a gateway with a backlog, whose upstream reads requests and never
// answers.
func (b *bench) hanging(ctx context.Context, backlog int) (s sample, err error) {
	r, err := newResponder(ctx, "0")
	if err != nil {
		return s, err
	}
	r.hangs = true
	r.start()
	g, err := b.newGateway(ctx)
	if err != nil {
		r.close()
		return s, err
	}
	defer g.closeInto(&err)
	defer r.close() // before the gateway stops, since it would wait for its attempts
	up := upstream{name: "hanging", url: "http://" + r.address() + "/events", lines: longTimeout}
	if err := g.start(ctx, durable(up), nil); err != nil {
		return s, err
	}
	if err := b.fill(ctx, g, b.notes(usualBody), backlog); err != nil {
		return s, err
	}
	t := trial{requests: b.notes(usualBody), connections: usualConnections, backlog: backlog, ready: whenHanging, settled: stillHanging}
	if backlog > 0 {
		t.name = "hanging"
	}
	return b.load(ctx, g, t)
}

const usualConcurrency = 32 // the default concurrency of an upstream

// hangs returns an error unless all attempts that the upstream allows at once are hanging.
func hangs(u upstreamStatus) error {
	if u.Paused || u.InFlight != usualConcurrency {
		return fmt.Errorf("%d attempts to the upstream %s hang (paused: %v), want %d", u.InFlight, u.Name, u.Paused, usualConcurrency)
	}
	return nil
}

func whenHanging(ctx context.Context, g *gateway, _ int) error { return g.await(ctx, hangs) }

func stillHanging(ctx context.Context, g *gateway, accepted int) error {
	return g.await(ctx, func(u upstreamStatus) error { return errors.Join(hangs(u), waiting(accepted)(u)) })
}

const (
	fillConnections = 64
	fillChunk       = 20_000 // events in a batch
)

// fill sends this number of events to a gateway as fast as it accepts them.
func (b *bench) fill(ctx context.Context, g *gateway, o spec, number int) error {
	connections, err := target{address: g.site}.connect(ctx, fillConnections)
	if err != nil {
		return err
	}
	defer closeAll(connections)
	reported := time.Now()
	for left := number; left > 0; left -= fillChunk {
		m, err := o.prepare(g.site, min(left, fillChunk), time.Now())
		if err != nil {
			return err
		}
		t, err := load{connections}.run(ctx, phase{batch: m})
		if err != nil {
			return fmt.Errorf("filling the queue: %w", err)
		}
		if err := t.only(200); err != nil {
			return fmt.Errorf("filling the queue: %w", err)
		}
		if time.Since(reported) > 30*time.Second {
			reported = time.Now()
			b.logf("  %s still to be accepted", thousands(max(left-fillChunk, 0)))
		}
	}
	return nil
}
