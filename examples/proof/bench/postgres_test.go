package main

import (
	"io"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/report"
)

// The lines that are left out stay in the table, without figures, and a note says so.
func TestWithoutPostgres(t *testing.T) {
	t.Parallel()
	o, err := parse([]string{"-without-postgres"})
	if err != nil {
		t.Fatal(err)
	}
	lines := choose(o.lines(), o.which)
	needed := o.needed(lines)
	if needPostgres(needed) || !needed["accept"] || !needPostgres(options{}.needed(lines)) {
		t.Errorf("the measurements are %v", needed)
	}
	b := &bench{options: o, log: io.Discard}
	if stop, err := b.startPostgres(); err != nil || b.server != nil {
		t.Errorf("startPostgres() = %v with the server %v", err, b.server)
	} else {
		stop()
	}
	i := slices.IndexFunc(lines, func(l figures.Line) bool { return l.Name == "postgres-accept" })
	row := report.LineTable([]figures.Row{figures.Outcomes{}.Row(lines[i])}).Cells[0]
	if text := strings.Join(row, "|"); !strings.Contains(text, "durable accept on PostgreSQL") || !strings.Contains(text, string(figures.NotMeasured)) {
		t.Errorf("the row is %s", text)
	}
	if notes := b.postgresNotes(); len(notes) != 1 || !strings.Contains(notes[0], "-without-postgres") {
		t.Errorf("the notes are %q", notes)
	}
}

// Only the lines of queue postgres need PostgreSQL.
func TestNeedPostgres(t *testing.T) {
	t.Parallel()
	o := options{large: 1_000_000}
	for expression, want := range map[string]bool{"^(accept|deliver-url|drain|forged)$": false, "^postgres-accept$": true, "^postgres-deliver-of-3$": true, "": true} {
		if got := needPostgres(o.needed(choose(o.lines(), regexp.MustCompile(expression)))); got != want {
			t.Errorf("%q needs PostgreSQL: %v, want %v", expression, got, want)
		}
	}
}

func TestPostgresTable(t *testing.T) {
	t.Parallel()
	all := figures.Outcomes{
		"accept":          {{Sample: figures.Sample{Rate: 9}}},
		"postgres-insert": {{Sample: figures.Sample{Rate: 100, P50: 0.003, P99: 0.01, Server: 0.0001, Own: 0.00002, Log: 2100, Commits: 1}}, {Err: errTest}},
		"postgres-accept": {{Sample: figures.Sample{Rate: 200, CPU: 0.0001, Server: 0.00005, Commits: 0.06}}, {Sample: figures.Sample{Rate: 220, CPU: 0.0001, Server: 0.00007, Commits: 0.08}}},
	}
	cells := postgresTable(all).Cells
	want := []string{
		"pgbench, INSERT of one row a transaction, 32 connections|100/s|3.00 ms|10.0 ms|-|100.0 µs|20.0 µs|2,100 B|1.00",
		"accept durably on PostgreSQL|210/s|-|-|100.0 µs|60.0 µs|-|-|0.07",
	}
	for i, row := range cells {
		if got := strings.Join(row, "|"); i >= len(want) || got != want[i] {
			t.Errorf("the row is %s", got)
		}
	}
	if len(cells) != len(want) {
		t.Errorf("%d rows, want %d", len(cells), len(want))
	}
	row := all.Row(figures.Line{Of: figures.Of("postgres-accept", figures.Rate), Base: figures.Once("postgres-insert", figures.Rate)})
	if got := figures.ShowRatio(row.ByCPU.Median); got != "0.80" {
		t.Errorf("the ratio of processor times is %s, want 0.80: 120 µs and 150 µs", got)
	}
}

func TestShare(t *testing.T) {
	t.Parallel()
	for gateways := 1; gateways <= 3; gateways++ {
		for _, all := range []int{1, 32, spreadConnections} {
			sum := 0
			for i := range gateways {
				n := share(all, gateways, i)
				if n < all/gateways || n > all/gateways+1 {
					t.Errorf("gateway %d of %d has %d of %d connections", i, gateways, n, all)
				}
				sum += n
			}
			if sum != all {
				t.Errorf("%d gateways have %d of %d connections", gateways, sum, all)
			}
		}
	}
}

// The events of the engine alone differ in their ids, and have the size of a note.
func TestNextEvent(t *testing.T) {
	t.Parallel()
	e, err := noteEvent()
	if err != nil {
		t.Fatal(err)
	}
	c := &callers{event: e}
	one, other := c.next(), c.next()
	if one.ID == other.ID || one.Subject == other.Subject || len(one.ID) != len(e.ID) || len(one.Body) != usualBody || time.Since(one.ReceivedAt) > time.Minute {
		t.Errorf("next() = %s of %s, %s of %s, with %d bytes", one.ID, one.Subject, other.ID, other.Subject, len(one.Body))
	}
}
