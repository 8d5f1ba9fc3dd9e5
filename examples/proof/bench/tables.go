package main

import (
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/report"
)

// againstTable returns a table that compares the figures of two binaries.
func againstTable(lines []figures.Line, one, other figures.Outcomes) report.Table {
	t := report.Table{Heads: []string{"line", "first", "second", "median", "min", "max"}, Left: 1}
	for _, l := range lines {
		q := l.Of.Quantity
		cells := []string{l.Text, "-", "-", "-", "-", "-"}
		if s := one.Times(other, l.Of); s.Number > 0 {
			cells[1], cells[2] = q.Show(figures.MedianOf(one.Samples(l.Of.Measurement), q)), q.Show(figures.MedianOf(other.Samples(l.Of.Measurement), q))
			cells[3], cells[4], cells[5] = figures.ShowRatio(s.Median), figures.ShowRatio(s.Low), figures.ShowRatio(s.High)
		}
		t.Cells = append(t.Cells, cells)
	}
	return t
}

// contenderTable returns a table with the medians of each measurement, without ratios.
func contenderTable(all figures.Outcomes) report.Table {
	t := report.Table{Heads: []string{"contender", "rate", "p50", "p99", "CPU per event", "allocated per event", "load generator's CPU per request", "others' CPU", "ceiling"}, Left: 1}
	ceiling := figures.MedianOf(all.Samples("generator"), figures.Rate)
	for _, m := range slices.Concat(measurements, largeMeasurements) {
		if samples := all.Samples(m.name); figures.MedianOf(samples, figures.Rate) > 0 || figures.MedianOf(samples, figures.P50) > 0 {
			t.Cells = append(t.Cells, slices.Concat([]string{m.text}, contenderCells(samples, ceiling)))
		}
	}
	return t
}

// postgresTable returns a table of the measurements with PostgreSQL: what it does for an event.
func postgresTable(all figures.Outcomes) report.Table {
	quantities := []figures.Quantity{figures.Rate, figures.P50, figures.P99, figures.CPU, figures.Server, figures.Own, figures.Log, figures.Commits}
	t := report.Table{Heads: []string{"contender", "rate", "p50", "p99", "gateways' CPU per event", "PostgreSQL's CPU per event", "load generator's CPU per event", "write-ahead log per event", "writing transactions per event"}, Left: 1}
	for _, m := range postgresMeasurements {
		if samples := all.Samples(m.name); len(samples) > 0 {
			t.Cells = append(t.Cells, append([]string{m.text}, cellsOf(samples, quantities)...))
		}
	}
	return t
}

// cellsOf returns the medians of some quantities.
func cellsOf(samples []figures.Sample, quantities []figures.Quantity) []string {
	cells := make([]string, 0, len(quantities)+1)
	for _, q := range quantities {
		cell := "-"
		if median := figures.MedianOf(samples, q); median != 0 {
			cell = q.Show(median)
		}
		cells = append(cells, cell)
	}
	return cells
}

func contenderCells(samples []figures.Sample, ceiling float64) []string {
	cells := cellsOf(samples, []figures.Quantity{figures.Rate, figures.P50, figures.P99, figures.CPU, figures.Alloc, figures.Own, figures.Others})
	multiple := "-"
	if r := figures.MedianOf(samples, figures.Rate); r > 0 {
		multiple = fmt.Sprintf("%.1f times", ceiling/r)
	}
	return append(cells, multiple)
}
