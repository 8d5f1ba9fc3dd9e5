package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/report"
)

// A sweep measures a cost for several counts of something.
type sweep struct {
	name   string
	unit   string // the name of one counted thing
	counts []int
	show   func(int) string
	run    func(ctx context.Context, b *bench, count int) (figures.Sample, error)
}

// sweeps are the sweeps of -growth. The one for waiting events is in backlog.go.
var sweeps = []sweep{
	{"body", "kB", gridBodies, showBody, func(ctx context.Context, b *bench, n int) (figures.Sample, error) {
		return b.accept(ctx, trial{requests: b.notes(n), connections: usualConnections, lasts: b.short()})
	}},
	{"upstreams", "upstream", []int{1, 2, 5, 10, 20, 50}, figures.ShortCount, func(ctx context.Context, b *bench, n int) (figures.Sample, error) {
		return b.acceptFor(ctx, trial{requests: b.notes(usualBody), connections: usualConnections, lasts: b.short()}, n)
	}},
	{"secrets", "secret", []int{1, 2, 5, 10, gateway.ManySecrets}, figures.ShortCount, func(ctx context.Context, b *bench, n int) (figures.Sample, error) {
		return b.run(ctx, gateway.Checkpoint(n), trial{requests: b.notes(usualBody), connections: usualConnections, lasts: b.short()})
	}},
}

// sweepTitles are the titles of the tables.
var sweepTitles = map[string]string{
	"waiting":   "Growth with the waiting events: durable accept",
	"body":      "Growth with the body: durable accept",
	"upstreams": "Growth with the upstreams, all paused: durable accept",
	"secrets":   "Growth with the configured secrets, of which the last one matches: verify only",
}

func (s sweep) key(count int) string { return fmt.Sprintf("%s %s", s.name, s.show(count)) }

// measureGrowth runs all sweeps.
func (b *bench) measureGrowth(ctx context.Context, r *report.Report) error {
	all := make(figures.Outcomes)
	w, err := b.sweepBacklog(ctx, all)
	if err == nil {
		err = b.sweepAll(ctx, all)
	}
	for _, s := range append([]sweep{w}, sweeps...) {
		r.Add(report.Section{Title: sweepTitles[s.name], Table: s.table(all), Notes: []string{
			fmt.Sprintf("Medians. Rounds: %d; slices of %s.", b.rounds, b.short()),
		}})
	}
	return errors.Join(err, all.Failures())
}

// sweepAll measures every point of every sweep in each round, in random order.
func (b *bench) sweepAll(ctx context.Context, all figures.Outcomes) error {
	type point struct {
		sweep
		count int
	}
	var points []point
	for _, s := range sweeps {
		for _, n := range s.counts {
			points = append(points, point{s, n})
		}
	}
	for round := range b.rounds {
		b.logf("growth: round %d of %d", round+1, b.rounds)
		figures.Shuffle(points)
		for _, p := range points {
			s, err := p.run(ctx, b, p.count)
			if ctx.Err() != nil {
				return errors.Join(context.Cause(ctx), err)
			}
			b.add(all, p.key(p.count), s, err)
		}
	}
	return nil
}

// table returns a table with a row for each point, compared with the previous point.
func (s sweep) table(all figures.Outcomes) report.Table {
	t := report.Table{Heads: []string{s.name, "rate", "p99", "allocated per event", "CPU per event", "min", "max", "count grows", "CPU grows", "CPU per further " + s.unit, "faster than the count"}, Left: 1}
	before, last := -1, 0.0
	for _, n := range s.counts {
		samples := all.Samples(s.key(n))
		if len(samples) == 0 {
			t.Cells = append(t.Cells, []string{s.show(n), "-", "-", "-", "-", "-", "-", "-", "-", "-", "-"})
			continue
		}
		costs := figures.SpreadOf(figures.ValuesOf(samples, figures.CPU))
		t.Cells = append(t.Cells, slices.Concat([]string{
			s.show(n), figures.ShowRate(figures.MedianOf(samples, figures.Rate)), figures.ShowSeconds(figures.MedianOf(samples, figures.P99)), figures.ShowBytes(figures.MedianOf(samples, figures.Alloc)),
			figures.ShowSeconds(costs.Median), figures.ShowSeconds(costs.Low), figures.ShowSeconds(costs.High),
		}, s.growth(before, n, last, costs.Median)))
		before, last = n, costs.Median
	}
	return t
}

// growth returns the cells that compare a point with the previous one. before is -1 if there is none.
func (s sweep) growth(before, n int, last, cost float64) []string {
	if before < 0 {
		return []string{"", "", "", ""}
	}
	more := float64(n - before)
	if s.unit == "kB" {
		more /= 1000
	}
	counts, faster := "from 0", "no"
	if before > 0 {
		factor := float64(n) / float64(before)
		counts = fmt.Sprintf("%.1f times", factor)
		if cost/last > factor {
			faster = "YES"
		}
	}
	return []string{counts, fmt.Sprintf("%.2f times", cost/last), showMarginal((cost - last) / more), faster}
}

// showMarginal formats seconds that may be very few or negative.
func showMarginal(v float64) string {
	if math.Abs(v) < 1e-6 {
		return fmt.Sprintf("%+.3f ns", v*1e9)
	}
	return fmt.Sprintf("%+.2f µs", v*1e6)
}
