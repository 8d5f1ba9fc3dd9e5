package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/certificate"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/report"
)

// The values of the grid. 1 kB is 1000 bytes.
var (
	gridBodies      = []int{100, 1500, 16_000, 256_000}
	gridConnections = []int{1, 8, 32, 128, 512}
	gridProtocols   = []string{"HTTP/1.1", "HTTP/2, TLS"}
)

// A cell is one combination of the grid.
type cell struct {
	protocol    string
	body        int
	connections int
}

func (c cell) name(what string) string {
	return fmt.Sprintf("%s %s %s %d", what, c.protocol, showBody(c.body), c.connections)
}

func showBody(n int) string { return strconv.FormatFloat(float64(n)/1000, 'f', -1, 64) + " kB" }

// cells returns all cells of the grid.
func cells() (all []cell) {
	for _, protocol := range gridProtocols {
		for _, body := range gridBodies {
			for _, connections := range gridConnections {
				all = append(all, cell{protocol, body, connections})
			}
		}
	}
	return all
}

// The contenders of the grid.
const (
	gridRespond = "respond"
	gridAccept  = "accept"
	gridCeiling = "generator"
)

// measureGrid compares accepting with bare `respond` for all combinations of bodies, connections
// and protocols.
func (b *bench) measureGrid(ctx context.Context, r *report.Report) error {
	cert, err := certificate.New(b.dir)
	if err != nil {
		return err
	}
	all := make(figures.Outcomes)
	squares := cells()
	for round := range b.rounds {
		b.logf("grid: round %d of %d", round+1, b.rounds)
		figures.Shuffle(squares)
		for _, c := range squares {
			if err := b.measureCell(ctx, c, &cert, all); err != nil {
				return err
			}
		}
	}
	r.Add(report.Section{Title: "Bodies, connections and protocols", Table: gridTable(all), Notes: []string{
		fmt.Sprintf("Durable accept with a paused upstream, and bare `respond`. Rounds: %d; slices of %s. The smallest body has %d bytes. A connection carries one request at a time in both protocols.", b.rounds, b.short(), load.NoteBody(gridBodies[0]).Size()),
		fmt.Sprintf("The ceiling is the load generator's rate with a responder in its own process and %d connections.", usualConnections),
	}})
	return all.Failures()
}

// measureCell measures the contenders of a cell one after the other, in random order. It returns
// an error only if ctx ends.
func (b *bench) measureCell(ctx context.Context, c cell, cert *certificate.Certificate, all figures.Outcomes) error {
	turns := []string{gridRespond, gridAccept}
	figures.Shuffle(turns)
	if c.connections == usualConnections {
		turns = append(turns, gridCeiling)
	}
	for _, turn := range turns {
		s, err := b.measureContender(ctx, turn, c, cert)
		if ctx.Err() != nil {
			return errors.Join(context.Cause(ctx), err)
		}
		b.add(all, c.name(turn), s, err)
	}
	return nil
}

func (b *bench) measureContender(ctx context.Context, turn string, c cell, cert *certificate.Certificate) (figures.Sample, error) {
	if c.protocol == gridProtocols[0] {
		cert = nil
	}
	t := trial{requests: b.notes(c.body), connections: c.connections, cert: cert, lasts: b.short()}
	switch turn {
	case gridRespond:
		return b.run(ctx, gateway.Bare(), t)
	case gridAccept:
		return b.accept(ctx, t)
	}
	if cert == nil {
		r, err := load.NewResponder(ctx, "0")
		if err != nil {
			return figures.Sample{}, err
		}
		defer r.Start().Close()
		return ceiling(ctx, load.Target{Address: r.Address()}, t.requests, c.connections, t.lasts)
	}
	r, err := load.NewFramesResponder(ctx, cert.Server)
	if err != nil {
		return figures.Sample{}, err
	}
	defer r.Start().Close()
	return ceiling(ctx, load.Target{Address: r.Address(), TLS: cert.Client}, t.requests, c.connections, t.lasts)
}

// gridTable returns a table with a row for each cell.
func gridTable(all figures.Outcomes) report.Table {
	t := report.Table{Heads: []string{"protocol", "body", "connections", "bare `respond`", "durable accept", "median", "min", "max", "p99 of accepting", "ceiling"}, Left: 1}
	for _, c := range cells() {
		r := all.Row(figures.Line{Of: figures.Of(c.name(gridAccept), figures.Rate), Base: figures.Once(c.name(gridRespond), figures.Rate), Unit: figures.ShowRatio})
		cells := []string{c.protocol, showBody(c.body), strconv.Itoa(c.connections), "-", "-", "-", "-", "-", "-", "-"}
		if r.Ratio.Number > 0 {
			cells[3], cells[4] = figures.ShowRate(r.Base.Median), figures.ShowRate(r.Value.Median)
			cells[5], cells[6], cells[7] = figures.ShowRatio(r.Ratio.Median), figures.ShowRatio(r.Ratio.Low), figures.ShowRatio(r.Ratio.High)
			cells[8] = figures.ShowSeconds(figures.MedianOf(all.Samples(c.name(gridAccept)), figures.P99))
		}
		at := c
		at.connections = usualConnections
		if top := figures.MedianOf(all.Samples(at.name(gridCeiling)), figures.Rate); top > 0 {
			cells[9] = figures.ShowRate(top)
		}
		t.Cells = append(t.Cells, cells)
	}
	return t
}
