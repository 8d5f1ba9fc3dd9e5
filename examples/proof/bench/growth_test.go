package main

import (
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
)

func TestSweepTable(t *testing.T) {
	t.Parallel()
	s := sweep{name: "upstreams", unit: "upstream", counts: []int{0, 10, 20, 40, 80}, show: figures.ShortCount}
	all := figures.Outcomes{
		s.key(0):  {{Sample: figures.Sample{CPU: 100e-6, Rate: 10}}},
		s.key(10): {{Sample: figures.Sample{CPU: 110e-6}}, {Sample: figures.Sample{CPU: 130e-6}}, {Err: errTest}},
		s.key(20): {{Sample: figures.Sample{CPU: 239e-6}}}, // not quite twice
		s.key(80): {{Sample: figures.Sample{CPU: 2000e-6}}},
	}
	var got []string
	for _, row := range s.table(all).Cells {
		got = append(got, strings.Join(append([]string{row[0], row[4]}, row[7:]...), "|"))
	}
	want := []string{
		"0|100.0 µs||||",
		"10|120.0 µs|from 0|1.20 times|+2.00 µs|no",
		"20|239.0 µs|2.0 times|1.99 times|+11.90 µs|no",
		"40|-|-|-|-|-",
		"80|2.00 ms|4.0 times|8.37 times|+29.35 µs|YES",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestSweepsAreComplete(t *testing.T) {
	t.Parallel()
	for _, s := range sweeps {
		if s.run == nil || s.show == nil || sweepTitles[s.name] == "" || len(s.counts) < 2 {
			t.Errorf("the sweep %q: it is incomplete", s.name)
		}
	}
	if got := (options{large: 1_000_000}).waitingCounts(); len(got) != 4 || got[0] != 0 || got[3] != 1_000_000 {
		t.Errorf("waitingCounts() = %v", got)
	}
}

// A body grows by its kB.
func TestSweepOfBodies(t *testing.T) {
	t.Parallel()
	s := sweep{name: "body", unit: "kB", counts: gridBodies, show: showBody}
	if got := s.growth(1500, 16_000, 100e-6, 129e-6); got[2] != "+2.00 µs" {
		t.Errorf("growth() = %v, want 2 µs for each kB", got)
	}
}

func TestGridTable(t *testing.T) {
	t.Parallel()
	c := cell{gridProtocols[1], 1500, 32}
	other := c
	other.connections = 8
	all := figures.Outcomes{
		c.name(gridRespond): {{Sample: figures.Sample{Rate: 100}}}, c.name(gridAccept): {{Sample: figures.Sample{Rate: 50, P99: 0.01}}}, c.name(gridCeiling): {{Sample: figures.Sample{Rate: 900}}},
		other.name(gridRespond): {{Err: errTest}}, other.name(gridAccept): {{Sample: figures.Sample{Rate: 50}}},
	}
	cells := gridTable(all).Cells
	if len(cells) != 2*4*5 {
		t.Fatalf("%d rows, want 40", len(cells))
	}
	found := 0
	for _, row := range cells {
		switch text := strings.Join(row, "|"); {
		case strings.HasPrefix(text, "HTTP/2, TLS|1.5 kB|32|"):
			found++
			if text != "HTTP/2, TLS|1.5 kB|32|100/s|50/s|0.50|0.50|0.50|10.0 ms|900/s" {
				t.Errorf("the row is %s", text)
			}
		case strings.HasPrefix(text, "HTTP/2, TLS|1.5 kB|8|"):
			found++
			if text != "HTTP/2, TLS|1.5 kB|8|-|-|-|-|-|-|900/s" {
				t.Errorf("the row of what failed is %s", text)
			}
		}
	}
	if found != 2 {
		t.Errorf("%d of the 2 rows are there", found)
	}
}

func TestShowCosts(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{
		showBody(1500): "1.5 kB", showMarginal(65e-6): "+65.00 µs", showMarginal(-23e-9): "-23.000 ns",
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}
