package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
)

// accept runs a trial of a gateway that stores events for a paused upstream, at whose address
// no program listens.
func (b *bench) accept(ctx context.Context, t trial) (figures.Sample, error) {
	return b.acceptFor(ctx, t, 1)
}

// acceptFor is accept with several upstreams, all paused.
func (b *bench) acceptFor(ctx context.Context, t trial, upstreams int) (figures.Sample, error) {
	c, err := unreachable(ctx, upstreams)
	if err != nil {
		return figures.Sample{}, err
	}
	t.ready, t.settled = whenPaused, stillPaused
	return b.run(ctx, c, t)
}

// unreachable returns a configuration with upstreams at whose addresses no program listens.
func unreachable(ctx context.Context, number int) (gateway.Configuration, error) {
	ports, err := stage.Ports(ctx, number)
	if err != nil {
		return gateway.Configuration{}, err
	}
	all := make([]gateway.Upstream, 0, number)
	for i, port := range ports {
		all = append(all, gateway.Upstream{Name: fmt.Sprintf("unreachable-%d", i+1), URL: "http://127.0.0.1:" + port + "/events"})
	}
	return gateway.Durable(all...), nil
}

// whenPaused waits until the upstreams are paused because of the events of the warm-up.
func whenPaused(ctx context.Context, g *gateway.Gateway, accepted int) error {
	if accepted == 0 { // all requests are forged
		return nil
	}
	return g.Await(ctx, gateway.Paused)
}

// stillPaused checks that every accepted event waits, and that none was delivered.
func stillPaused(ctx context.Context, g *gateway.Gateway, accepted int) error {
	return g.Await(ctx, func(u gateway.UpstreamStatus) error {
		if accepted == 0 {
			return gateway.Waiting(0)(u)
		}
		return errors.Join(gateway.Paused(u), gateway.Waiting(accepted)(u))
	})
}

// deliver runs a trial of a gateway whose upstream accepts all events.
func (b *bench) deliver(ctx context.Context, name string, to func(backend string) gateway.Upstream) (s figures.Sample, err error) {
	r, err := load.NewResponder(ctx, "0")
	if err != nil {
		return s, err
	}
	accepted := 0
	s, err = b.run(ctx, gateway.Durable(to(r.Start().Address())), trial{
		name: name, requests: b.notes(usualBody), connections: usualConnections, backend: r,
		settled: func(ctx context.Context, g *gateway.Gateway, n int) error {
			accepted = n
			return g.Await(ctx, gateway.Waiting(0))
		},
	})
	r.Close()
	if err != nil {
		return s, err
	}
	return s, load.EachOnce(r.Deliveries(), accepted)
}

// longTimeout is the option of a hanging upstream, so that no attempt ends during a trial.
const longTimeout = "timeout 1h"

// hanging runs a trial of a gateway with a backlog, whose upstream reads requests and never
// answers.
func (b *bench) hanging(ctx context.Context, backlog int) (s figures.Sample, err error) {
	r, err := load.NewResponder(ctx, "0")
	if err != nil {
		return s, err
	}
	r.Hangs = true
	r.Start()
	g, err := b.newGateway(ctx)
	if err != nil {
		r.Close()
		return s, err
	}
	defer g.CloseInto(&err)
	defer r.Close() // before the gateway stops, since it would wait for its attempts
	up := gateway.Upstream{Name: "hanging", URL: "http://" + r.Address() + "/events", Lines: longTimeout}
	if err := g.Start(ctx, gateway.Durable(up), nil); err != nil {
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

func whenHanging(ctx context.Context, g *gateway.Gateway, _ int) error {
	return g.Await(ctx, gateway.Hangs)
}

func stillHanging(ctx context.Context, g *gateway.Gateway, accepted int) error {
	return g.Await(ctx, func(u gateway.UpstreamStatus) error {
		return errors.Join(gateway.Hangs(u), gateway.Waiting(accepted)(u))
	})
}

const (
	fillConnections = 64
	fillChunk       = 20_000 // events in a batch
)

// fill sends this number of events to a gateway as fast as it accepts them.
func (b *bench) fill(ctx context.Context, g *gateway.Gateway, o load.Spec, number int) error {
	l, err := load.Target{Address: g.Site}.Connect(ctx, fillConnections)
	if err != nil {
		return err
	}
	defer l.Close()
	reported := time.Now()
	for left := number; left > 0; left -= fillChunk {
		m, err := o.Prepare(g.Site, min(left, fillChunk), time.Now())
		if err != nil {
			return err
		}
		t, err := l.Run(ctx, load.Phase{Batch: m})
		if err != nil {
			return fmt.Errorf("filling the queue: %w", err)
		}
		if err := t.Only(200); err != nil {
			return fmt.Errorf("filling the queue: %w", err)
		}
		if time.Since(reported) > 30*time.Second {
			reported = time.Now()
			b.logf("  %s still to be accepted", figures.Thousands(max(left-fillChunk, 0)))
		}
	}
	return nil
}
