package main

import (
	"context"
	"errors"
	"slices"
	"time"
)

// largeMeasurements are those that need a large backlog: it is made once, and
// they follow each other on it.
var largeMeasurements = []measurement{
	{name: "memory", text: "anonymous memory"},
	{name: "start-cold", text: "start, cold page cache"},
	{name: "start-warm", text: "start, warm"},
	{name: "drain", text: "drain of the large backlog"},
	{name: "drain-small", text: "drain of the small backlog"},
}

// withLarge does the measurements with a large backlog, if they are needed.
func (b *bench) withLarge(ctx context.Context, needed map[string]bool, all outcomes) (err error) {
	if !slices.ContainsFunc(largeMeasurements, func(m measurement) bool { return needed[m.name] }) {
		return nil
	}
	b.say("%s waiting events", thousands(b.large))
	h, err := b.newHoard(ctx)
	if err != nil {
		return err
	}
	defer h.closeInto(&err)
	grown, err := h.pileUp(ctx)
	if err != nil {
		return err
	}
	b.add(all, "memory", grown, nil)
	if needed["start-cold"] || needed["start-warm"] {
		if err := h.starts(ctx, all); err != nil {
			return err
		}
	}
	if !needed["drain"] {
		return h.gateway.stop()
	}
	return h.drain(ctx, all)
}

const (
	memoryLooks = 5
	memoryStep  = 500 * time.Millisecond
)

// pileUp fills the queue, and returns by how much that has the gateway's memory
// grow. What it needs in order to work at all is taken before.
func (h *hoard) pileUp(ctx context.Context) (s sample, err error) {
	if err := h.come(ctx); err != nil {
		return s, err
	}
	if err := h.gateway.start(ctx, h.text, nil); err != nil {
		return s, err
	}
	if err := h.fill(ctx, h.large/50); err != nil {
		return s, err
	}
	if err := h.gateway.await(ctx, waiting(0)); err != nil {
		return s, err
	}
	before, err := h.memory(ctx)
	if err != nil {
		return s, err
	}
	h.leave()
	began := time.Now()
	if err := h.fill(ctx, h.large); err != nil {
		return s, err
	}
	h.say("  filled at %s", showRate(perSecond(float64(h.large), time.Since(began))))
	after, err := h.memory(ctx)
	if err != nil {
		return s, err
	}
	err = h.gateway.await(ctx, func(u upstreamStatus) error { return errors.Join(paused(u), waiting(h.large)(u)) })
	return sample{bytes: after - before}, errors.Join(err, h.stop())
}

// memory is the median of some looks at the gateway's anonymous memory.
func (h *hoard) memory(ctx context.Context) (float64, error) {
	var looks []float64
	for range memoryLooks {
		select {
		case <-time.After(memoryStep):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		n, err := anonymous(h.gateway.process.PID())
		if err != nil {
			return 0, err
		}
		looks = append(looks, float64(n))
	}
	return spreadOf(looks).median, nil
}

// starts has the gateway start with all that waits, with the queue's file out of
// the page cache and in it by turns, and stops it at the first delivery.
func (h *hoard) starts(ctx context.Context, all outcomes) error {
	for range h.rounds {
		for _, turn := range []struct {
			name    string
			prepare func() error
		}{{"start-cold", h.chill}, {"start-warm", h.heat}} {
			if err := turn.prepare(); err != nil {
				return err
			}
			took, err := h.start(ctx)
			h.add(all, turn.name, sample{took: took.Seconds()}, err)
			if err := errors.Join(err, h.stop()); err != nil {
				return err
			}
		}
	}
	return nil
}
