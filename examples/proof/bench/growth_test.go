package main

import (
	"strings"
	"testing"
)

func TestSweepTable(t *testing.T) {
	t.Parallel()
	s := sweep{name: "upstreams", unit: "upstream", counts: []int{0, 10, 20, 40, 80}, show: shortCount}
	all := outcomes{
		s.key(0):  {{sample: sample{cpu: 100e-6, rate: 10}}},
		s.key(10): {{sample: sample{cpu: 110e-6}}, {sample: sample{cpu: 130e-6}}, {err: errTest}},
		s.key(20): {{sample: sample{cpu: 239e-6}}}, // not quite twice
		s.key(80): {{sample: sample{cpu: 2000e-6}}},
	}
	var got []string
	for _, row := range s.table(all).cells {
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
	all := outcomes{
		c.name(gridRespond): {{sample: sample{rate: 100}}}, c.name(gridAccept): {{sample: sample{rate: 50, p99: 0.01}}}, c.name(gridCeiling): {{sample: sample{rate: 900}}},
		other.name(gridRespond): {{err: errTest}}, other.name(gridAccept): {{sample: sample{rate: 50}}},
	}
	cells := gridTable(all).cells
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
