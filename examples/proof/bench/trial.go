package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// A trial is a gateway under load for one slice.
type trial struct {
	name        string // of its profile; empty where none is taken
	order       order
	connections int
	cert        *certificate  // with TLS, and HTTP/2, where there is one
	status      int           // of every answer; default 200
	lasts       time.Duration // default: as long as a line's
	backlog     int           // how many events wait before

	// ready returns when the slice may begin. So many events have been
	// accepted since the gateway's first start. It may be nil.
	ready func(ctx context.Context, g *gateway, accepted int) error
	// settled checks what is left when the slice is over. It may be nil.
	settled func(ctx context.Context, g *gateway, accepted int) error
	// backend counts what is delivered, where that is measured too.
	backend *responder
}

const (
	// steadyWindow is how many events may be on their way to a backend, so
	// that what is accepted and what is delivered keep step.
	steadyWindow = 2000
	// A magazine is filled for so many requests a second where nothing is known
	// of the rate, else for as many as came before and some to spare, but never
	// for fewer than the least.
	unknownRate = 60_000
	leastRate   = 20_000
	spare       = 1.6
	// profileSeconds is how long a profile is taken.
	profileSeconds = 10
)

// run has a new gateway go through a trial.
func (b *bench) run(ctx context.Context, c configuration, t trial) (s sample, err error) {
	g, err := b.newGateway(ctx)
	if err != nil {
		return s, err
	}
	defer g.closeInto(&err)
	if err := g.start(ctx, c, t.cert); err != nil {
		return s, err
	}
	return b.load(ctx, g, t)
}

// load has a running gateway go through a trial: warming up, the slice itself,
// and after it, where asked for, a profile under the same load.
func (b *bench) load(ctx context.Context, g *gateway, t trial) (s sample, err error) {
	if t.status == 0 {
		t.status = http.StatusOK
	}
	if t.lasts == 0 {
		t.lasts = b.slice
	}
	to := target{address: g.site}
	if t.cert != nil {
		to = target{address: g.secure, tls: t.cert.client}
	}
	connections, err := to.connect(ctx, t.connections)
	if err != nil {
		return s, err
	}
	defer closeAll(connections)
	u := &use{trial: t, bench: b, gateway: g, load: load{connections}, address: to.address, accepted: t.backlog}

	warm, err := u.fire(ctx, warmUp(t.lasts), unknownRate)
	if err != nil {
		return s, fmt.Errorf("warming up: %w", err)
	}
	if t.ready != nil {
		if err := t.ready(ctx, g, u.accepted); err != nil {
			return s, err
		}
	}
	if s, err = u.measure(ctx, warm.rate()); err != nil {
		return s, err
	}
	if t.name != "" && b.profile != "" && b.round == 0 {
		if err := u.takeProfile(ctx, s.rate); err != nil {
			return s, err
		}
	}
	if t.settled != nil {
		err = t.settled(ctx, g, u.accepted)
	}
	return s, err
}

// A use is a trial that goes on.
type use struct {
	trial
	bench    *bench
	gateway  *gateway
	load     load
	address  string
	accepted int
}

// fire sends for a time, and checks the answers.
func (u *use) fire(ctx context.Context, lasts time.Duration, perSecond float64) (tally, error) {
	m, err := u.order.prepare(u.address, enough(perSecond, lasts), time.Now())
	if err != nil {
		return tally{}, err
	}
	v := volley{magazine: m, lasts: lasts}
	if u.backend != nil {
		before := int64(u.accepted)
		v.count = u.backend.taken.Load
		v.hold = func() bool { return before+m.next.Load()-u.backend.taken.Load() >= steadyWindow }
	}
	t, err := u.load.fire(ctx, v)
	if err != nil {
		return t, err
	}
	if u.status == http.StatusOK {
		u.accepted += t.answered()
	}
	return t, t.only(u.status)
}

// enough is how many requests a magazine has for a time, after so many a second.
// A slice ends with its magazine, and goes on being right, but shorter.
func enough(perSecond float64, lasts time.Duration) int {
	return int(max(spare*perSecond, leastRate) * lasts.Seconds())
}

// measure is the slice. What the gateway does to report its memory is outside
// of what its processor time is taken of.
func (u *use) measure(ctx context.Context, perSecond float64) (s sample, err error) {
	allocated, err := u.gateway.allocated(ctx)
	if err != nil {
		return s, err
	}
	from, err := u.consumption()
	if err != nil {
		return s, err
	}
	t, err := u.fire(ctx, u.lasts, perSecond)
	if err != nil {
		return s, err
	}
	to, err := u.consumption()
	if err != nil {
		return s, err
	}
	allocatedAfter, err := u.gateway.allocated(ctx)
	if err != nil {
		return s, err
	}
	n := float64(t.answered())
	s = inTimes(t.latencies)
	s.rate = t.rate()
	if u.backend != nil {
		s.rate = min(s.rate, t.countedRate())
	}
	s.cpu = (to.gateway - from.gateway).Seconds() / n
	s.own = (to.own - from.own).Seconds() / n
	s.others = from.others(to)
	s.alloc = (allocatedAfter - allocated) / n
	return s, nil
}

func (u *use) consumption() (consumption, error) { return consumed(u.gateway.process.PID()) }

// takeProfile goes on for a while, and profiles the gateway meanwhile.
func (u *use) takeProfile(ctx context.Context, perSecond float64) error {
	done := make(chan error, 1)
	go func() { done <- u.gateway.profile(ctx, u.bench.profile, u.name, profileSeconds) }()
	_, err := u.fire(ctx, (profileSeconds+1)*time.Second, perSecond)
	if profiled := <-done; profiled != nil {
		return errors.Join(err, profiled)
	}
	return err
}
