package main

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/postgres"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/probe"
)

// A runningTrial is a trial in progress.
type runningTrial struct {
	trial
	bench    *bench
	gateways []*gateway.Gateway
	load     load.Generator
	address  string // of the first gateway
	accepted int
}

// connect connects the load generator to the gateways.
func (u *runningTrial) connect(ctx context.Context) error {
	for i, g := range u.gateways {
		to := load.Target{Address: g.Site}
		if u.cert != nil {
			to = load.Target{Address: g.Secure, TLS: u.cert.Client}
		}
		if i == 0 {
			u.address = to.Address
		}
		l, err := to.Connect(ctx, share(u.connections, len(u.gateways), i))
		if err != nil {
			u.load.Close()
			return err
		}
		u.load = u.load.And(l)
	}
	return nil
}

// share returns how many of all connections the gateway i has.
func share(all, gateways, i int) int { return all*(i+1)/gateways - all*i/gateways }

// each calls check with each gateway. check may be nil.
func (u *runningTrial) each(ctx context.Context, check func(ctx context.Context, g *gateway.Gateway, accepted int) error) error {
	for _, g := range u.gateways {
		if check == nil {
			return nil
		}
		if err := check(ctx, g, u.accepted); err != nil {
			return err
		}
	}
	return nil
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

// A state is what the processes of a trial have done until a time.
type state struct {
	probe.Consumption
	allocated float64
	postgres.Counts
}

// measure runs the slice.
func (u *runningTrial) measure(ctx context.Context, perSecond float64) (s figures.Sample, err error) {
	from, err := u.look(ctx, true)
	if err != nil {
		return s, err
	}
	t, err := u.run(ctx, u.lasts, perSecond)
	if err != nil {
		return s, err
	}
	to, err := u.look(ctx, false)
	if err != nil {
		return s, err
	}
	n := float64(t.Answered())
	s = figures.LatencySample(t.Latencies)
	s.Rate = t.Rate()
	if u.backend != nil {
		s.Rate = min(s.Rate, t.CountedRate())
	}
	u.perEvent(&s, from, to, n)
	return s, nil
}

// perEvent adds what the processes needed for each of n events between two states.
func (u *runningTrial) perEvent(s *figures.Sample, from, to state, n float64) {
	s.CPU = (to.Gateway - from.Gateway).Seconds() / n
	s.Server = (to.Server - from.Server).Seconds() / n
	s.Own = (to.Own - from.Own).Seconds() / n
	s.Others = from.Others(to.Consumption)
	s.Alloc = (to.allocated - from.allocated) / n
	s.Log, s.Commits = (to.Log-from.Log)/n, (to.Transactions-from.Transactions)/n
}

// look returns the state now. The requests for metrics and counts come before the slice or after
// it, outside of the measured processor time.
func (u *runningTrial) look(ctx context.Context, before bool) (s state, err error) {
	ask := func() error {
		for _, g := range u.gateways {
			n, err := g.Allocated(ctx)
			if err != nil {
				return err
			}
			s.allocated += n
		}
		if u.database != nil {
			s.Counts, err = u.database.Counts(ctx)
		}
		return err
	}
	if before {
		if err := ask(); err != nil {
			return s, err
		}
	}
	if s.Consumption, err = u.consumption(); err != nil || before {
		return s, err
	}
	return s, ask()
}

func (u *runningTrial) consumption() (probe.Consumption, error) {
	server, pids := 0, make([]int, 0, len(u.gateways))
	if u.database != nil {
		server = u.database.PID()
	}
	for _, g := range u.gateways {
		pids = append(pids, g.Process.PID())
	}
	return probe.Consumed(server, pids...)
}

// profileUnderLoad continues the load, and profiles the first gateway.
func (u *runningTrial) profileUnderLoad(ctx context.Context, perSecond float64) error {
	done := make(chan error, 1)
	go func() { done <- u.gateways[0].Profile(ctx, u.bench.profile, u.name, profileSeconds) }()
	_, err := u.run(ctx, (profileSeconds+1)*time.Second, perSecond)
	if profiled := <-done; profiled != nil {
		return errors.Join(err, profiled)
	}
	return err
}
