package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A progress is the number of deliveries of a drain, and the processor time used so far.
type progress struct {
	reading
	consumption
}

// look returns the drain's progress until now.
func (h *largeGateway) look() (progress, error) {
	r := reading{count: h.backend.received.Load(), at: time.Now()}
	c, err := consumed(h.gateway.process.PID())
	return progress{r, c}, err
}

// until returns the sample between two looks.
func (p progress) until(to progress) sample {
	n := to.count - p.count
	s := sample{rate: perSecond(float64(n), to.reading.at.Sub(p.reading.at)), others: p.others(to.consumption)}
	if n > 0 {
		s.cpu, s.own = (to.gateway-p.gateway).Seconds()/float64(n), (to.own-p.own).Seconds()/float64(n)
	}
	return s
}

// part waits until the current backend has received number deliveries, and returns the sample
// of that time.
func (h *largeGateway) part(ctx context.Context, number int64) (s sample, err error) {
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
func (h *largeGateway) drain(ctx context.Context, all outcomes) error {
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
	go func() { done <- h.gateway.profile(ctx, h.profile, "drain", profileSeconds) }()
	return func() error { return <-done }
}

// drainSmallBetween measures the drain of a small backlog while this gateway is suspended.
func (h *largeGateway) drainSmallBetween(ctx context.Context) (s sample, err error) {
	pid := h.gateway.process.PID()
	if err := suspend(pid); err != nil {
		return s, fmt.Errorf("suspending the gateway: %w", err)
	}
	defer func() { err = errors.Join(err, resume(pid)) }()
	return h.drainSmall(ctx)
}

// drainSmall fills another gateway's queue while its backend is down, restarts the gateway with
// the backend, and measures from the first delivery to the last.
func (b *bench) drainSmall(ctx context.Context) (s sample, err error) {
	h, err := b.newLargeGateway(ctx)
	if err != nil {
		return s, err
	}
	defer h.closeInto(&err)
	if err := h.gateway.start(ctx, h.text, nil); err != nil {
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
