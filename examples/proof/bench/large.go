package main

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/probe"
)

// largeMeasurements are the measurements with the large backlog. The backlog is made once, and
// they run one after the other with it.
var largeMeasurements = []measurement{
	{name: "memory", text: "anonymous memory"},
	{name: "start-cold", text: "start, cold page cache"},
	{name: "start-warm", text: "start, warm"},
	{name: "drain", text: "drain of the large backlog"},
	{name: "drain-small", text: "drain of the small backlog"},
}

// withLarge runs the measurements with the large backlog, if one of them is needed.
func (b *bench) withLarge(ctx context.Context, needed map[string]bool, all figures.Outcomes) (err error) {
	if !slices.ContainsFunc(largeMeasurements, func(m measurement) bool { return needed[m.name] }) {
		return nil
	}
	b.logf("%s waiting events", figures.Thousands(b.large))
	h, err := b.newLargeGateway(ctx)
	if err != nil {
		return err
	}
	defer h.closeInto(&err)
	grown, err := h.fillLarge(ctx)
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
		return h.gateway.Stop()
	}
	return h.drain(ctx, all)
}

const (
	memoryTimes = 5
	memoryStep  = 500 * time.Millisecond
)

// fillLarge fills the queue, and returns by how much the gateway's memory has grown. Before, some
// events are delivered, so that the gateway has already allocated what it needs without a backlog.
func (h *largeGateway) fillLarge(ctx context.Context) (s figures.Sample, err error) {
	if err := h.startBackend(ctx); err != nil {
		return s, err
	}
	if err := h.gateway.Start(ctx, h.text, nil); err != nil {
		return s, err
	}
	if err := h.fill(ctx, h.large/50); err != nil {
		return s, err
	}
	if err := h.gateway.Await(ctx, gateway.Waiting(0)); err != nil {
		return s, err
	}
	before, err := h.memory(ctx)
	if err != nil {
		return s, err
	}
	h.stopBackend()
	began := time.Now()
	if err := h.fill(ctx, h.large); err != nil {
		return s, err
	}
	h.logf("  filled at %s", figures.ShowRate(load.PerSecond(float64(h.large), time.Since(began))))
	after, err := h.memory(ctx)
	if err != nil {
		return s, err
	}
	err = h.gateway.Await(ctx, func(u gateway.UpstreamStatus) error {
		return errors.Join(gateway.Paused(u), gateway.Waiting(h.large)(u))
	})
	return figures.Sample{Bytes: after - before}, errors.Join(err, h.stop())
}

// memory returns the gateway's anonymous memory: the median of some measurements.
func (h *largeGateway) memory(ctx context.Context) (float64, error) {
	var all []float64
	for range memoryTimes {
		select {
		case <-time.After(memoryStep):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
		n, err := probe.AnonymousMemory(h.gateway.Process.PID())
		if err != nil {
			return 0, err
		}
		all = append(all, float64(n))
	}
	return figures.SpreadOf(all).Median, nil
}

// starts measures the start of the gateway with the backlog until the first delivery. The queue's
// files are alternately in the page cache and not in it.
func (h *largeGateway) starts(ctx context.Context, all figures.Outcomes) error {
	for range h.rounds {
		for _, turn := range []struct {
			name    string
			prepare func() error
		}{{"start-cold", h.dropCache}, {"start-warm", h.warmCache}} {
			if err := turn.prepare(); err != nil {
				return err
			}
			took, err := h.start(ctx)
			h.add(all, turn.name, figures.Sample{Took: took.Seconds()}, err)
			if err := errors.Join(err, h.stop()); err != nil {
				return err
			}
		}
	}
	return nil
}
