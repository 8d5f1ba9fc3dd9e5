package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// A progress is how far a drain has come, and what it has used so far.
type progress struct {
	reading
	consumption
}

// look is how far the drain has come by now.
func (h *hoard) look() (progress, error) {
	r := reading{count: h.backend.taken.Load(), at: time.Now()}
	c, err := consumed(h.gateway.process.PID())
	return progress{r, c}, err
}

// until is what the drain showed up to a later look.
func (p progress) until(to progress) sample {
	n := to.count - p.count
	s := sample{rate: perSecond(float64(n), to.reading.at.Sub(p.reading.at)), others: p.others(to.consumption)}
	if n > 0 {
		s.cpu, s.own = (to.gateway-p.gateway).Seconds()/float64(n), (to.own-p.own).Seconds()/float64(n)
	}
	return s
}

// part waits until the present backend has taken so many, and returns what the
// drain showed meanwhile.
func (h *hoard) part(ctx context.Context, number int64) (s sample, err error) {
	from, err := h.look()
	if err != nil {
		return s, err
	}
	if err := h.reach(ctx, number); err != nil {
		return s, err
	}
	to, err := h.look()
	return from.until(to), err
}

// drain delivers all that waits. After each part, as many as there are rounds,
// the gateway is held up, and another one drains a small backlog, so that what
// else the machine does falls on both alike.
func (h *hoard) drain(ctx context.Context, all outcomes) error {
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
		s, err = h.meanwhile(ctx)
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

// profileDrain begins to profile the gateway, where that is asked for, and
// returns what waits for the end of it.
func (h *hoard) profileDrain(ctx context.Context) (wait func() error) {
	if h.profile == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() { done <- h.gateway.profile(ctx, h.profile, "drain", profileSeconds) }()
	return func() error { return <-done }
}

// meanwhile drains a small backlog while this gateway is held up.
func (h *hoard) meanwhile(ctx context.Context) (s sample, err error) {
	pid := h.gateway.process.PID()
	if err := freeze(pid); err != nil {
		return s, fmt.Errorf("holding the gateway up: %w", err)
	}
	defer func() { err = errors.Join(err, thaw(pid)) }()
	return h.drainSmall(ctx)
}

// drainSmall fills another gateway's queue while its backend is away, starts it
// anew beside the backend, and measures from the first delivery to the last.
func (b *bench) drainSmall(ctx context.Context) (s sample, err error) {
	h, err := b.newHoard(ctx)
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
