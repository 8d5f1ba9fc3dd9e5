package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/probe"
)

// A progress is the number of deliveries of a drain, and the processor time used so far.
type progress struct {
	at    time.Time
	count int64
	probe.Consumption
}

// look returns the drain's progress until now.
func (h *largeGateway) look() (progress, error) {
	p := progress{count: h.backend.Received.Load(), at: time.Now()}
	c, err := probe.Consumed(0, h.gateway.Process.PID())
	p.Consumption = c
	return p, err
}

// until returns the sample between two looks.
func (p progress) until(to progress) figures.Sample {
	n := to.count - p.count
	s := figures.Sample{Rate: load.PerSecond(float64(n), to.at.Sub(p.at)), Others: p.Others(to.Consumption)}
	if n > 0 {
		s.CPU, s.Own = (to.Gateway-p.Gateway).Seconds()/float64(n), (to.Own-p.Own).Seconds()/float64(n)
	}
	return s
}

// part waits until the current backend has received number deliveries, and returns the sample
// of that time.
func (h *largeGateway) part(ctx context.Context, number int64) (s figures.Sample, err error) {
	from, err := h.look()
	if err != nil {
		return s, err
	}
	if err := h.waitDelivered(ctx, number); err != nil {
		return s, err
	}
	to, err := h.look()
	return from.until(to), err
}

// drain measures the delivery of the whole backlog, in as many parts as there are rounds. After
// each part the gateway is suspended while another one drains a small backlog, so that other
// work on the machine affects both alike.
func (h *largeGateway) drain(ctx context.Context, all figures.Outcomes) error {
	if _, err := h.start(ctx); err != nil {
		return err
	}
	profiled := h.profileDrain(ctx)
	left := int64(h.number - len(h.ids))
	for i := range h.rounds {
		s, err := h.part(ctx, left*int64(i+1)/int64(h.rounds))
		if err != nil {
			return err
		}
		h.add(all, "drain", s, nil)
		s, err = h.drainSmallBetween(ctx)
		h.add(all, "drain-small", s, err)
		if err != nil {
			return err
		}
	}
	if err := profiled(); err != nil {
		return err
	}
	return h.drained(ctx)
}

// profileDrain starts to profile the gateway, with -profile. wait waits until the profile is
// written.
func (h *largeGateway) profileDrain(ctx context.Context) (wait func() error) {
	if h.profile == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- h.gateway.Profile(ctx, h.profile, "drain", profileSeconds) }()
	return func() error { return <-done }
}

// drainSmallBetween measures the drain of a small backlog while this gateway is suspended.
func (h *largeGateway) drainSmallBetween(ctx context.Context) (s figures.Sample, err error) {
	if err := h.gateway.Suspend(); err != nil {
		return s, fmt.Errorf("suspending the gateway: %w", err)
	}
	defer func() { err = errors.Join(err, h.gateway.Resume()) }()
	return h.drainSmall(ctx)
}

// drainSmall fills another gateway's queue while its backend is down, restarts the gateway with
// the backend, and measures from the first delivery to the last.
func (b *bench) drainSmall(ctx context.Context) (s figures.Sample, err error) {
	h, err := b.newLargeGateway(ctx)
	if err != nil {
		return s, err
	}
	defer h.closeInto(&err)
	if err := h.gateway.Start(ctx, h.text, nil); err != nil {
		return s, err
	}
	if err := h.fill(ctx, b.smallDrain()); err != nil {
		return s, err
	}
	if err := h.stop(); err != nil {
		return s, err
	}
	if _, err := h.start(ctx); err != nil {
		return s, err
	}
	if s, err = h.part(ctx, int64(h.number)); err != nil {
		return s, err
	}
	return s, h.drained(ctx)
}
