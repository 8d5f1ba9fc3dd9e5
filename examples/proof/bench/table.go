package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
)

// A table has a head and rows of cells.
type table struct {
	heads []string
	left  int // the number of columns with text; the others have figures
	cells [][]string
}

// print prints a table with aligned columns.
func (t table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.heads, "\t"))
	for _, row := range t.cells {
		fmt.Fprintln(w, strings.ReplaceAll(strings.Join(row, "\t"), "`", ""))
	}
	_ = w.Flush() // an error could not be reported either
}

// markdown writes a table in Markdown.
func (t table) markdown(out io.Writer) {
	fmt.Fprintf(out, "| %s |\n|%s%s\n", strings.Join(t.heads, " | "), strings.Repeat("---|", t.left), strings.Repeat("---:|", len(t.heads)-t.left))
	for _, row := range t.cells {
		escaped := make([]string, len(row))
		for i, cell := range row {
			escaped[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(escaped, " | "))
	}
}

// lineTable returns the table of ratios.
func lineTable(rows []row) table {
	t := table{heads: []string{"line", "against", "median", "min", "max", "by CPU", "reach at least", "reached", "aim", "aim met", "measured", "against"}, left: 2}
	for _, r := range rows {
		cells := []string{r.text, r.against, "-", "-", "-", "-", r.showGoal(r.least), string(r.reaches(r.least)), r.showGoal(r.aim), string(r.reaches(r.aim)), "-", "-"}
		if r.ratio.number > 0 {
			cells[2], cells[3], cells[4] = r.unit(r.ratio.median), r.unit(r.ratio.low), r.unit(r.ratio.high)
			cells[10] = r.of.quantity.show(r.value.median)
		}
		if r.byCPU.number > 0 {
			cells[5] = showRatio(r.byCPU.median)
		}
		if r.base.number > 0 {
			cells[11] = r.of.quantity.show(r.base.median)
		}
		t.cells = append(t.cells, cells)
	}
	return t
}

// againstTable returns a table that compares the figures of two binaries.
func againstTable(lines []line, one, other outcomes) table {
	t := table{heads: []string{"line", "first", "second", "median", "min", "max"}, left: 1}
	for _, l := range lines {
		q := l.of.quantity
		cells := []string{l.text, "-", "-", "-", "-", "-"}
		if s := one.times(other, l.of); s.number > 0 {
			cells[1], cells[2] = q.show(medianOf(one.samples(l.of.measurement), q)), q.show(medianOf(other.samples(l.of.measurement), q))
			cells[3], cells[4], cells[5] = showRatio(s.median), showRatio(s.low), showRatio(s.high)
		}
		t.cells = append(t.cells, cells)
	}
	return t
}

// times returns the ratios of a figure to the same figure of other, for the rounds in which both were
// measured.
func (o outcomes) times(other outcomes, f figure) spread {
	var all []float64
	for round, a := range o[f.measurement] {
		if round >= len(other[f.measurement]) {
			break
		}
		b := other[f.measurement][round]
		if base := f.quantity.of(b.sample); a.err == nil && b.err == nil && base != 0 {
			all = append(all, f.quantity.of(a.sample)/base)
		}
	}
	return spreadOf(all)
}

// contenderTable returns a table with the medians of each measurement, without ratios.
func contenderTable(all outcomes) table {
	t := table{heads: []string{"contender", "rate", "p50", "p99", "CPU per event", "allocated per event", "load generator's CPU per request", "others' CPU", "ceiling"}, left: 1}
	ceiling := medianOf(all.samples("generator"), rate)
	for _, m := range slices.Concat(measurements, largeMeasurements) {
		if samples := all.samples(m.name); medianOf(samples, rate) > 0 || medianOf(samples, p50) > 0 {
			t.cells = append(t.cells, slices.Concat([]string{m.text}, contenderCells(samples, ceiling)))
		}
	}
	return t
}

func contenderCells(samples []sample, ceiling float64) []string {
	quantities := []quantity{rate, p50, p99, cpu, alloc, own, others}
	cells := make([]string, 0, len(quantities)+1)
	for _, q := range quantities {
		cell := "-"
		if median := medianOf(samples, q); median != 0 {
			cell = q.show(median)
		}
		cells = append(cells, cell)
	}
	multiple := "-"
	if r := medianOf(samples, rate); r > 0 {
		multiple = fmt.Sprintf("%.1f times", ceiling/r)
	}
	return append(cells, multiple)
}

// samples returns the samples of a measurement, of the rounds that did not fail.
func (o outcomes) samples(name string) (all []sample) {
	for _, one := range o[name] {
		if one.err == nil {
			all = append(all, one.sample)
		}
	}
	return all
}

func medianOf(samples []sample, q quantity) float64 { return spreadOf(valuesOf(samples, q)).median }

func valuesOf(samples []sample, q quantity) []float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, q.of(s))
	}
	return values
}

// String lists the figures that were measured.
func (s sample) String() string {
	var parts []string
	for _, q := range []quantity{rate, p50, p99, cpu, alloc, own, others, took, size} {
		if v := q.of(s); v != 0 {
			parts = append(parts, q.name+" "+q.show(v))
		}
	}
	return strings.Join(parts, ", ")
}
