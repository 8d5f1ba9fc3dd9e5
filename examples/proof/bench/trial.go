package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/certificate"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/probe"
)

// A trial is a gateway under load for one slice.
type trial struct {
	name        string // of its profile; empty for none
	requests    load.Spec
	connections int
	cert        *certificate.Certificate // if set, use HTTP/2 with TLS
	status      int                      // of every answer; default 200
	lasts       time.Duration            // default: -slice
	backlog     int                      // number of events that wait before the trial

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
// the same load.
func (b *bench) load(ctx context.Context, g *gateway.Gateway, t trial) (s figures.Sample, err error) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	if t.lasts == 0 {
		t.lasts = b.slice
	}
	to := load.Target{Address: g.Site}
	if t.cert != nil {
		to = load.Target{Address: g.Secure, TLS: t.cert.Client}
	}
	l, err := to.Connect(ctx, t.connections)
	if err != nil {
		return s, err
	}
	defer l.Close()
	u := &runningTrial{trial: t, bench: b, gateway: g, load: l, address: to.Address, accepted: t.backlog}

	warm, err := u.run(ctx, warmUp(t.lasts), unknownRate)
	if err != nil {
		return s, fmt.Errorf("warming up: %w", err)
	}
	if t.ready != nil {
		if err := t.ready(ctx, g, u.accepted); err != nil {
			return s, err
		}
	}
	if s, err = u.measure(ctx, warm.Rate()); err != nil {
		return s, err
	}
	if t.name != "" && b.profile != "" && b.round == 0 {
		if err := u.profileUnderLoad(ctx, s.Rate); err != nil {
			return s, err
		}
	}
	if t.settled != nil {
		err = t.settled(ctx, g, u.accepted)
	}
	return s, err
}

// A runningTrial is a trial in progress.
type runningTrial struct {
	trial
	bench    *bench
	gateway  *gateway.Gateway
	load     load.Generator
	address  string
	accepted int
}

// run sends requests for a time, and checks the answers.
func (u *runningTrial) run(ctx context.Context, lasts time.Duration, perSecond float64) (load.Totals, error) {
	m, err := u.requests.Prepare(u.address, batchSize(perSecond, lasts), time.Now())
	if err != nil {
		return load.Totals{}, err
	}
	v := load.Phase{Batch: m, Lasts: lasts}
	if u.backend != nil {
		before := int64(u.accepted)
		v.Count = u.backend.Received.Load
		v.Hold = func() bool { return before+m.Taken()-u.backend.Received.Load() >= steadyWindow }
	}
	t, err := u.load.Run(ctx, v)
	if err != nil {
		return t, err
	}
	if u.status == http.StatusOK {
		u.accepted += t.Answered()
	}
	return t, t.Only(u.status)
}

// batchSize returns the size of a batch for a time, after a rate of perSecond. If a batch is empty before
// the end of a slice, the slice is shorter and still correct.
func batchSize(perSecond float64, lasts time.Duration) int {
	return int(max(spare*perSecond, leastRate) * lasts.Seconds())
}

// measure runs the slice. The requests for the gateway's metrics are outside of the measured processor
// time.
func (u *runningTrial) measure(ctx context.Context, perSecond float64) (s figures.Sample, err error) {
	allocated, err := u.gateway.Allocated(ctx)
	if err != nil {
		return s, err
	}
	from, err := u.consumption()
	if err != nil {
		return s, err
	}
	t, err := u.run(ctx, u.lasts, perSecond)
	if err != nil {
		return s, err
	}
	to, err := u.consumption()
	if err != nil {
		return s, err
	}
	allocatedAfter, err := u.gateway.Allocated(ctx)
	if err != nil {
		return s, err
	}
	n := float64(t.Answered())
	s = figures.LatencySample(t.Latencies)
	s.Rate = t.Rate()
	if u.backend != nil {
		s.Rate = min(s.Rate, t.CountedRate())
	}
	s.CPU = (to.Gateway - from.Gateway).Seconds() / n
	s.Own = (to.Own - from.Own).Seconds() / n
	s.Others = from.Others(to)
	s.Alloc = (allocatedAfter - allocated) / n
	return s, nil
}

func (u *runningTrial) consumption() (probe.Consumption, error) {
	return probe.Consumed(u.gateway.Process.PID())
}

// profileUnderLoad continues the load, and profiles the gateway.
func (u *runningTrial) profileUnderLoad(ctx context.Context, perSecond float64) error {
	done := make(chan error, 1)
	go func() { done <- u.gateway.Profile(ctx, u.bench.profile, u.name, profileSeconds) }()
	_, err := u.run(ctx, (profileSeconds+1)*time.Second, perSecond)
	if profiled := <-done; profiled != nil {
		return errors.Join(err, profiled)
	}
	return err
}
