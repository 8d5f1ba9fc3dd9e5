package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// accept is a trial of a gateway that stores events for an upstream that is
// paused: nobody listens there.
func (b *bench) accept(ctx context.Context, t trial) (sample, error) {
	return b.acceptFor(ctx, t, 1)
}

// acceptFor is accept with so many upstreams, all paused.
func (b *bench) acceptFor(ctx context.Context, t trial, upstreams int) (sample, error) {
	c, err := away(ctx, upstreams)
	if err != nil {
		return sample{}, err
	}
	t.ready, t.settled = whenPaused, stillPaused
	return b.run(ctx, c, t)
}

// away is a configuration with so many upstreams of which none is there.
func away(ctx context.Context, number int) (configuration, error) {
	ports, err := stage.Ports(ctx, number)
	if err != nil {
		return configuration{}, err
	}
	all := make([]upstream, 0, number)
	for i, port := range ports {
		all = append(all, upstream{name: fmt.Sprintf("away-%d", i+1), url: "http://127.0.0.1:" + port + "/events"})
	}
	return durable(all...), nil
}

// whenPaused waits until the upstreams are paused, by the events that came while
// warming up.
func whenPaused(ctx context.Context, g *gateway, accepted int) error {
	if accepted == 0 { // nothing but forged requests
		return nil
	}
	return g.await(ctx, paused)
}

// stillPaused checks that every event that was accepted waits, and none was
// delivered.
func stillPaused(ctx context.Context, g *gateway, accepted int) error {
	return g.await(ctx, func(u upstreamStatus) error {
		if accepted == 0 {
			return waiting(0)(u)
		}
		return errors.Join(paused(u), waiting(accepted)(u))
	})
}

// deliver is a trial of a gateway whose upstream takes everything.
func (b *bench) deliver(ctx context.Context, name string, to func(backend string) upstream) (s sample, err error) {
	r, err := newResponder(ctx, "0")
	if err != nil {
		return s, err
	}
	accepted := 0
	s, err = b.run(ctx, durable(to(r.start().address())), trial{
		name: name, order: b.notes(usualBody), connections: usualConnections, backend: r,
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

// longTimeout keeps attempts at an upstream that hangs under way for longer than
// anything here takes.
const longTimeout = "timeout 1h"

// hanging is a trial of accepting while an upstream takes connections and
// requests and never answers, with so many events waiting.
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
	defer r.close() // before the gateway ends, which would wait for its attempts
	up := upstream{name: "hanging", url: "http://" + r.address() + "/events", lines: longTimeout}
	if err := g.start(ctx, durable(up), nil); err != nil {
		return s, err
	}
	if err := b.fill(ctx, g, b.notes(usualBody), backlog); err != nil {
		return s, err
	}
	t := trial{order: b.notes(usualBody), connections: usualConnections, backlog: backlog, ready: whenHanging, settled: stillHanging}
	if backlog > 0 {
		t.name = "hanging"
	}
	return b.load(ctx, g, t)
}

const usualConcurrency = 32 // of an upstream

// hangs is an error where an upstream's slots are not all taken.
func hangs(u upstreamStatus) error {
	if u.Paused || u.InFlight != usualConcurrency {
		return fmt.Errorf("%d attempts at the upstream %s should hang: %d do (paused: %v)", usualConcurrency, u.Name, u.InFlight, u.Paused)
	}
	return nil
}

func whenHanging(ctx context.Context, g *gateway, _ int) error { return g.await(ctx, hangs) }

func stillHanging(ctx context.Context, g *gateway, accepted int) error {
	return g.await(ctx, func(u upstreamStatus) error { return errors.Join(hangs(u), waiting(accepted)(u)) })
}

const (
	fillConnections = 64
	fillChunk       = 20_000 // events signed at a time
)

// fill has a gateway accept so many events, as fast as it takes them.
func (b *bench) fill(ctx context.Context, g *gateway, o order, number int) error {
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
		t, err := load{connections}.fire(ctx, volley{magazine: m})
		if err != nil {
			return fmt.Errorf("filling the queue: %w", err)
		}
		if err := t.only(200); err != nil {
			return fmt.Errorf("filling the queue: %w", err)
		}
		if time.Since(reported) > 30*time.Second {
			reported = time.Now()
			b.say("  %s still to be accepted", thousands(max(left-fillChunk, 0)))
		}
	}
	return nil
}
