package main

import (
	"errors"
	"regexp"
	"testing"
)

var errTest = errors.New("it broke")

// ran are the outcomes of three rounds, in the second of which a baseline broke.
func ran() outcomes {
	return outcomes{
		"respond":   {{sample: sample{rate: 100}}, {err: errTest}, {sample: sample{rate: 400}}},
		"accept":    {{sample: sample{rate: 50, p50: 0.003}}, {sample: sample{rate: 70}}, {sample: sample{rate: 100}}},
		"fdatasync": {{sample: sample{p50: 0.001}}},
		"respond-1": {{sample: sample{p50: 0.0005}}},
		"broken":    {{err: errTest}},
		"start":     {{sample: sample{took: 3}}, {sample: sample{took: 1}}},
	}
}

func TestRow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		line        line
		ratio, base spread
		failed      int
	}{
		"a ratio is one round's": {
			line{of: figure{"accept", rate}, base: once("respond", rate)},
			spread{2, 0.375, 0.25, 0.5},
			spread{2, 250, 100, 400},
			1,
		},
		"against a sum": {
			line{of: figure{"accept", p50}, base: []term{{2, figure{"fdatasync", p50}}, {1, figure{"respond-1", p50}}}},
			spread{1, 1.2, 1.2, 1.2},
			spread{1, 0.0025, 0.0025, 0.0025},
			2,
		},
		"against a sum in part": {
			line{of: figure{"accept", p50}, base: []term{{2, figure{"fdatasync", p50}}, {1, figure{"broken", p50}}}},
			spread{},
			spread{},
			3,
		},
		"by itself":      {line{of: figure{"start", took}}, spread{2, 2, 1, 3}, spread{}, 0},
		"never measured": {line{of: figure{"other", rate}, base: once("respond", rate)}, spread{}, spread{}, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ran().row(tt.line)
			if got.ratio != tt.ratio || got.base != tt.base || got.failed != tt.failed {
				t.Errorf("row() = %+v of %+v, %d failed; want %+v of %+v, %d", got.ratio, got.base, got.failed, tt.ratio, tt.base, tt.failed)
			}
		})
	}
}

func TestReaches(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		median, asked float64
		number        int
		less          bool
		want          verdict
	}{
		"more":                 {0.7, 0.6, 1, false, met},
		"exactly":              {0.6, 0.6, 1, false, met},
		"too little":           {0.59, 0.6, 1, false, missed},
		"less":                 {1.1, 1.3, 1, true, met},
		"exactly the maximum":  {1.3, 1.3, 1, true, met},
		"too much":             {1.31, 1.3, 1, true, missed},
		"no goal":              {5, 0, 1, false, noGoal},
		"nothing was measured": {0, 1.3, 0, true, notMeasured},
		"neither":              {0, 0, 0, true, noGoal},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := row{line: line{less: tt.less}, ratio: spread{number: tt.number, median: tt.median}}
			if got := r.reaches(tt.asked); got != tt.want {
				t.Errorf("reaches() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestLinesAreComplete(t *testing.T) {
	t.Parallel()
	known := make(map[string]bool)
	for _, m := range measurements {
		if m.name == "" || m.text == "" || m.run == nil || known[m.name] {
			t.Errorf("the measurement %q: it is incomplete or there twice", m.name)
		}
		known[m.name] = true
	}
	for _, m := range largeMeasurements {
		known[m.name] = true
	}
	lines := options{large: 1_000_000}.lines()
	names := make(map[string]bool)
	for _, l := range lines {
		if l.name == "" || l.text == "" || l.unit == nil || names[l.name] {
			t.Errorf("the line %q: it is incomplete or there twice", l.name)
		}
		names[l.name] = true
		if (l.least == 0) != (l.aim == 0) || l.least > 0 && l.less != (l.aim < l.least) {
			t.Errorf("the line %q asks for %v and aims at %v", l.name, l.least, l.aim)
		}
	}
	for name := range needs(lines) {
		if !known[name] {
			t.Errorf("a line needs %q, which is not a measurement", name)
		}
	}
}

func TestChoose(t *testing.T) {
	t.Parallel()
	lines := options{large: 1_000_000}.lines()
	for expression, want := range map[string]int{"": len(lines), "^verify$": 1, "deliver": 2, "start|drain": 3, "nothing like it": 0} {
		if got := choose(lines, regexp.MustCompile(expression)); len(got) != want {
			t.Errorf("%q chooses %d lines, want %d", expression, len(got), want)
		}
	}
	needed := needs(choose(lines, regexp.MustCompile("^latency$")))
	for _, name := range []string{"accept-1", "fdatasync", "respond-1", "generator"} {
		if !needed[name] {
			t.Errorf("%s is not among the measurements of the line latency", name)
		}
	}
	if len(needed) != 4 {
		t.Errorf("the line latency needs %v", needed)
	}
}

func TestByCPU(t *testing.T) {
	t.Parallel()
	all := outcomes{
		"respond": {{sample: sample{rate: 100, cpu: 30e-6, own: 10e-6}}},
		"accept":  {{sample: sample{rate: 10, cpu: 60e-6, own: 20e-6, p50: 1}}},
		"drain":   {{sample: sample{rate: 10}}},
	}
	if got := all.row(line{of: figure{"accept", rate}, base: once("respond", rate)}).byCPU; got.number != 1 || got.median != 0.5 {
		t.Errorf("by CPU it is %+v, want 0.5", got)
	}
	for _, l := range []line{
		{of: figure{"accept", cpu}, base: once("respond", cpu)}, // no rate
		{of: figure{"drain", rate}, base: once("respond", rate)},
	} {
		if got := all.row(l).byCPU; got.number != 0 {
			t.Errorf("%s has %+v by CPU", l.of.measurement, got)
		}
	}
}
