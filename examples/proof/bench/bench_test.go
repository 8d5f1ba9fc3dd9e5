package main

import (
	"context"
	"errors"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/report"
)

var errTest = errors.New("it broke")

// A round goes on when a measurement fails, and ends with its context.
func TestRounds(t *testing.T) {
	calls := 0
	before := measurements
	t.Cleanup(func() { measurements = before })
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the time is over")
	measurements = []measurement{
		{"works", "", true, func(context.Context, *bench) (figures.Sample, error) { calls++; return figures.Sample{Rate: 1}, nil }},
		{"breaks", "", true, func(context.Context, *bench) (figures.Sample, error) { calls++; return figures.Sample{}, errTest }},
		{"is not needed", "", true, func(context.Context, *bench) (figures.Sample, error) { calls += 100; return figures.Sample{}, nil }},
	}
	b := &bench{options: options{rounds: 3, slice: time.Second}, binaries: []string{"one"}, log: io.Discard}
	of, err := b.runRounds(ctx, map[string]bool{"works": true, "breaks": true})
	all := of[0]
	if calls != 6 || len(all["works"]) != 3 || len(all["breaks"]) != 3 || !errors.Is(err, errTest) || len(all.Samples("works")) != 3 || len(all.Samples("breaks")) != 0 {
		t.Errorf("%d calls, %v, %v", calls, all, err)
	}
	measurements[1].run = func(context.Context, *bench) (figures.Sample, error) { cancel(over); return figures.Sample{}, errTest }
	if all, err := b.runRounds(ctx, map[string]bool{"breaks": true}); !errors.Is(err, over) || len(all[0]["breaks"]) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// Two binaries are measured in turn, each by itself.
func TestRoundsOfTwo(t *testing.T) {
	before := measurements
	t.Cleanup(func() { measurements = before })
	rates := map[string]float64{"new": 3, "old": 2}
	measurements = []measurement{{"accept", "", false, func(_ context.Context, b *bench) (figures.Sample, error) {
		if b.binary == "old" && b.round == 1 {
			return figures.Sample{}, errTest
		}
		return figures.Sample{Rate: rates[b.binary]}, nil
	}}}
	b := &bench{options: options{rounds: 3, slice: time.Second, which: regexp.MustCompile("^accept$")}, binaries: []string{"new", "old"}, log: io.Discard}
	all, err := b.runRounds(t.Context(), map[string]bool{"accept": true})
	if !errors.Is(err, errTest) || !strings.Contains(err.Error(), "old: accept, round 2") {
		t.Errorf("runRounds() = %v, want an error that names the binary", err)
	}
	for i, name := range b.binaries {
		for _, s := range all[i].Samples("accept") {
			if s.Rate != rates[name] {
				t.Errorf("%s: a rate of %v is another's", name, s.Rate)
			}
		}
	}
	cells := againstTable(choose(b.lines(), b.which), all[0], all[1]).Cells
	if got := strings.Join(cells[0][1:], "|"); got != "3/s|2/s|1.50|1.50|1.50" {
		t.Errorf("the row is %s", got)
	}
	if sections := b.titled("old", report.Section{Title: "Ratios"}); sections[0].Title != "Ratios: old" {
		t.Errorf("the title is %q", sections[0].Title)
	}
}
