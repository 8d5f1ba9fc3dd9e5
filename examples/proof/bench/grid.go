package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
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
func (b *bench) measureGrid(ctx context.Context, r *report) error {
	cert, err := newCertificate(b.dir)
	if err != nil {
		return err
	}
	all := make(outcomes)
	squares := cells()
	for round := range b.rounds {
		b.logf("grid: round %d of %d", round+1, b.rounds)
		shuffle(squares)
		for _, c := range squares {
			if err := b.measureCell(ctx, c, &cert, all); err != nil {
				return err
			}
		}
	}
	r.sections = append(r.sections, section{"Bodies, connections and protocols", gridTable(all), []string{
		fmt.Sprintf("Durable accept with a paused upstream, and bare `respond`. Rounds: %d; slices of %s. The smallest body has %d bytes. A connection carries one request at a time in both protocols.", b.rounds, b.short(), noteBody(gridBodies[0]).size()),
		fmt.Sprintf("The ceiling is the load generator's rate with a responder in its own process and %d connections.", usualConnections),
	}})
	return all.failures()
}

// measureCell measures the contenders of a cell one after the other, in random order. It returns
// an error only if ctx ends.
func (b *bench) measureCell(ctx context.Context, c cell, cert *certificate, all outcomes) error {
	turns := []string{gridRespond, gridAccept}
	shuffle(turns)
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

func (b *bench) measureContender(ctx context.Context, turn string, c cell, cert *certificate) (sample, error) {
	if c.protocol == gridProtocols[0] {
		cert = nil
	}
	t := trial{requests: b.notes(c.body), connections: c.connections, cert: cert, lasts: b.short()}
	switch turn {
	case gridRespond:
		return b.run(ctx, bare(), t)
	case gridAccept:
		return b.accept(ctx, t)
	}
	if cert == nil {
		r, err := newResponder(ctx, "0")
		if err != nil {
			return sample{}, err
		}
		defer r.start().close()
		return ceiling(ctx, target{address: r.address()}, t.requests, c.connections, t.lasts)
	}
	r, err := newFramesResponder(ctx, cert.server)
	if err != nil {
		return sample{}, err
	}
	defer r.start().close()
	return ceiling(ctx, target{address: r.listener.Addr().String(), tls: cert.client}, t.requests, c.connections, t.lasts)
}

// gridTable returns a table with a row for each cell.
func gridTable(all outcomes) table {
	t := table{heads: []string{"protocol", "body", "connections", "bare `respond`", "durable accept", "median", "min", "max", "p99 of accepting", "ceiling"}, left: 1}
	for _, c := range cells() {
		r := all.row(line{of: figure{c.name(gridAccept), rate}, base: once(c.name(gridRespond), rate), unit: showRatio})
		cells := []string{c.protocol, showBody(c.body), strconv.Itoa(c.connections), "-", "-", "-", "-", "-", "-", "-"}
		if r.ratio.number > 0 {
			cells[3], cells[4] = showRate(r.base.median), showRate(r.value.median)
			cells[5], cells[6], cells[7] = showRatio(r.ratio.median), showRatio(r.ratio.low), showRatio(r.ratio.high)
			cells[8] = showSeconds(medianOf(all.samples(c.name(gridAccept)), p99))
		}
		at := c
		at.connections = usualConnections
		if top := medianOf(all.samples(at.name(gridCeiling)), rate); top > 0 {
			cells[9] = showRate(top)
		}
		t.cells = append(t.cells, cells)
	}
	return t
}
