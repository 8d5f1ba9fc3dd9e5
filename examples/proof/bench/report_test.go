package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestReport(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	r := report{
		machine:  []string{"a processor"},
		sections: []section{{"Ratios", testTable, []string{"Bare `respond` is bare."}}},
		rows:     testRows(),
	}
	var out bytes.Buffer
	r.print(&out)
	for _, want := range []string{"a processor\n", "\nRatios\n\nline ", "\nBare respond is bare.\n"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("%q is not in\n%s", want, out.String())
		}
	}
	o := options{markdown: filepath.Join(dir, "b.md"), svg: filepath.Join(dir, "b.svg")}
	if err := r.save(o); err != nil {
		t.Fatal(err)
	}
	for file, want := range map[string]string{o.markdown: "- a processor\n\n## Ratios\n\n| line | median |\n", o.svg: "</svg>"} {
		if text, err := os.ReadFile(file); err != nil || !strings.Contains(string(text), want) {
			t.Errorf("%q is not in %s: %s, %v", want, file, text, err)
		}
	}
	if err := r.save(options{markdown: filepath.Join(dir, "missing", "b.md")}); err == nil {
		t.Error("save() = nil for a directory that does not exist")
	}
}

func TestGeneratorNote(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		ceiling float64
		want    string
	}{
		"enough":    {300, "3.0 times the gateway's highest rate (100/s): at least"},
		"too slow":  {299, "less than three times"},
		"by itself": {0, "0/s"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			all := outcomes{"respond": {{sample: sample{rate: 1e6}}}, "generator": {{sample: sample{rate: tt.ceiling}}}}
			if tt.ceiling > 0 {
				all["accept"] = []outcome{{sample: sample{rate: 100}}}
			}
			if got := all.generatorNote(); !strings.Contains(got, tt.want) {
				t.Errorf("generatorNote() = %q, want %q in it", got, tt.want)
			}
		})
	}
}

func TestFailures(t *testing.T) {
	t.Parallel()
	err := ran().failures()
	if !errors.Is(err, errTest) || !strings.Contains(err.Error(), "respond, round 2: ") {
		t.Errorf("failures() = %v", err)
	}
	if err := (outcomes{"a": {{}}}).failures(); err != nil {
		t.Errorf("failures() = %v", err)
	}
}

// A round goes on when a measurement fails, and ends with its context.
func TestRounds(t *testing.T) {
	calls := 0
	before := measurements
	t.Cleanup(func() { measurements = before })
	ctx, cancel := context.WithCancelCause(t.Context())
	over := errors.New("the time is over")
	measurements = []measurement{
		{"works", "", true, func(context.Context, *bench) (sample, error) { calls++; return sample{rate: 1}, nil }},
		{"breaks", "", true, func(context.Context, *bench) (sample, error) { calls++; return sample{}, errTest }},
		{"is not needed", "", true, func(context.Context, *bench) (sample, error) { calls += 100; return sample{}, nil }},
	}
	b := &bench{options: options{rounds: 3, slice: time.Second}, binaries: []string{"one"}, log: io.Discard}
	of, err := b.runRounds(ctx, map[string]bool{"works": true, "breaks": true})
	all := of[0]
	if calls != 6 || len(all["works"]) != 3 || len(all["breaks"]) != 3 || !errors.Is(err, errTest) || len(all.samples("works")) != 3 || len(all.samples("breaks")) != 0 {
		t.Errorf("%d calls, %v, %v", calls, all, err)
	}
	measurements[1].run = func(context.Context, *bench) (sample, error) { cancel(over); return sample{}, errTest }
	if all, err := b.runRounds(ctx, map[string]bool{"breaks": true}); !errors.Is(err, over) || len(all[0]["breaks"]) != 0 {
		t.Errorf("%v, %v", all, err)
	}
}

// Two binaries are measured in turn, each by itself.
func TestRoundsOfTwo(t *testing.T) {
	before := measurements
	t.Cleanup(func() { measurements = before })
	rates := map[string]float64{"new": 3, "old": 2}
	measurements = []measurement{{"accept", "", false, func(_ context.Context, b *bench) (sample, error) {
		if b.binary == "old" && b.round == 1 {
			return sample{}, errTest
		}
		return sample{rate: rates[b.binary]}, nil
	}}}
	b := &bench{options: options{rounds: 3, slice: time.Second, which: regexp.MustCompile("^accept$")}, binaries: []string{"new", "old"}, log: io.Discard}
	all, err := b.runRounds(t.Context(), map[string]bool{"accept": true})
	if !errors.Is(err, errTest) || !strings.Contains(err.Error(), "old: accept, round 2") {
		t.Errorf("runRounds() = %v, want an error that names the binary", err)
	}
	for i, name := range b.binaries {
		for _, s := range all[i].samples("accept") {
			if s.rate != rates[name] {
				t.Errorf("%s: a rate of %v is another's", name, s.rate)
			}
		}
	}
	cells := againstTable(choose(b.lines(), b.which), all[0], all[1]).cells
	if got := strings.Join(cells[0][1:], "|"); got != "3/s|2/s|1.50|1.50|1.50" {
		t.Errorf("the row is %s", got)
	}
	if sections := b.titled("old", section{title: "Ratios"}); sections[0].title != "Ratios: old" {
		t.Errorf("the title is %q", sections[0].title)
	}
}
