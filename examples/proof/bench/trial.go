package main

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/certificate"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/postgres"
)

// A trial is a gateway under load for one slice, or several that share a queue.
type trial struct {
	name        string // of its profile; empty for none
	requests    load.Spec
	connections int
	cert        *certificate.Certificate // if set, use HTTP/2 with TLS
	status      int                      // of every answer; default 200
	lasts       time.Duration            // default: -slice
	backlog     int                      // number of events that wait before the trial
	database    *postgres.Database       // of the queue that the gateways share; nil if there is none

	// ready waits until the slice can start. accepted is the number of events that were accepted since
	// the gateway's first start. It may be nil.
	ready func(ctx context.Context, g *gateway.Gateway, accepted int) error
	// settled checks the events after the slice. It may be nil.
	settled func(ctx context.Context, g *gateway.Gateway, accepted int) error
	// backend counts the deliveries, if they are measured too.
	backend *load.Responder
}

const (
	// steadyWindow is the maximum number of events that are not delivered yet, so that accepting is not
	// faster than delivering.
	steadyWindow = 2000
	// The size of a batch, in requests per second: unknownRate if the rate is not known yet, otherwise
	// the rate before times spare, and at least leastRate.
	unknownRate = 60_000
	leastRate   = 20_000
	spare       = 1.6
	// profileSeconds is the duration of a profile.
	profileSeconds = 10
)

// run runs a trial with a new gateway.
func (b *bench) run(ctx context.Context, c gateway.Configuration, t trial) (s figures.Sample, err error) {
	g, err := b.newGateway(ctx)
	if err != nil {
		return s, err
	}
	defer g.CloseInto(&err)
	if err := g.Start(ctx, c, t.cert); err != nil {
		return s, err
	}
	return b.load(ctx, g, t)
}

// load runs a trial with a running gateway: the warm-up, the slice, and with -profile a profile under
// the same load. With several gateways, the connections are spread over them.
func (b *bench) load(ctx context.Context, g *gateway.Gateway, t trial, more ...*gateway.Gateway) (s figures.Sample, err error) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	if t.lasts == 0 {
		t.lasts = b.slice
	}
	u := &runningTrial{trial: t, bench: b, gateways: append([]*gateway.Gateway{g}, more...), accepted: t.backlog}
	if err := u.connect(ctx); err != nil {
		return s, err
	}
	defer u.load.Close()

	warm, err := u.run(ctx, warmUp(t.lasts), unknownRate)
	if err != nil {
		return s, fmt.Errorf("warming up: %w", err)
	}
	if err := u.each(ctx, t.ready); err != nil {
		return s, err
	}
	if s, err = u.measure(ctx, warm.Rate()); err != nil {
		return s, err
	}
	if t.name != "" && b.profile != "" && b.round == 0 {
		if err := u.profileUnderLoad(ctx, s.Rate); err != nil {
			return s, err
		}
	}
	return s, u.each(ctx, t.settled)
}
