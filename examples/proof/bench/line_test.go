package main

import (
	"regexp"
	"testing"
)

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
		if l.Name == "" || l.Text == "" || l.Unit == nil || names[l.Name] {
			t.Errorf("the line %q: it is incomplete or there twice", l.Name)
		}
		names[l.Name] = true
		if (l.Least == 0) != (l.Aim == 0) || l.Least > 0 && l.Less != (l.Aim < l.Least) {
			t.Errorf("the line %q asks for %v and aims at %v", l.Name, l.Least, l.Aim)
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
	for expression, want := range map[string]int{"": len(lines), "^verify$": 1, "^deliver": 2, "start|drain": 3, "nothing like it": 0} {
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
