package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/load"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/probe"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/report"
)

// measure runs the parts that the options select.
func (b *bench) measure(ctx context.Context) (r report.Report, err error) {
	m, err := b.facts()
	if err != nil {
		return r, err
	}
	r.Machine = m
	if b.table {
		err = b.measureLines(ctx, &r)
	}
	for _, binary := range b.binaries {
		b.binary = binary
		var of report.Report
		if b.grid && ctx.Err() == nil {
			err = errors.Join(err, b.measureGrid(ctx, &of))
		}
		if b.growth && ctx.Err() == nil {
			err = errors.Join(err, b.measureGrowth(ctx, &of))
		}
		r.Add(b.titled(binary, of.Sections...)...)
	}
	return r, err
}

// facts returns the facts about the machine and the programs that the figures depend on.
func (b *bench) facts() ([]string, error) {
	all, err1 := probe.Facts(b.dir, b.binary)
	times, err2 := probe.Fdatasyncs(b.dir, b.slice)
	if err := errors.Join(err1, err2); err != nil {
		return nil, fmt.Errorf("reading facts about the machine: %w", err)
	}
	sync := figures.LatencySample(times)
	if b.server != nil {
		all = append(all, b.server.Facts())
	}
	return append(all, fmt.Sprintf("one fdatasync: p50 %s, p99 %s", figures.ShowSeconds(sync.P50), figures.ShowSeconds(sync.P99))), nil
}

// titled adds the binary to the titles of sections, if there are two.
func (b *bench) titled(binary string, sections ...report.Section) []report.Section {
	for i := range sections {
		if len(b.binaries) > 1 {
			sections[i].Title += ": " + binary
		}
	}
	return sections
}

// measureLines measures the lines and adds their tables to the report.
func (b *bench) measureLines(ctx context.Context, r *report.Report) error {
	chosen := choose(b.lines(), b.which)
	all, err := b.runRounds(ctx, b.needed(chosen))
	for i, binary := range b.binaries {
		rows := make([]figures.Row, 0, len(chosen))
		for _, l := range chosen {
			rows = append(rows, all[i].Row(l))
		}
		if i == 0 {
			r.Rows = rows
		}
		r.Add(b.titled(binary,
			report.Section{Title: "Ratios", Table: report.LineTable(rows), Notes: append(b.captions(), generatorNote(all[i]))},
			report.Section{Title: "Queue postgres", Table: postgresTable(all[i]), Notes: b.postgresNotes()},
			report.Section{Title: "Each contender", Table: contenderTable(all[i]), Notes: []string{"Medians of the rounds. The ceiling is the load generator's maximum rate, as a multiple of the rate. Others' CPU is the share of the machine's processors that other processes and the kernel used."}},
		)...)
	}
	if len(b.binaries) > 1 {
		r.Add(report.Section{Title: fmt.Sprintf("%s against %s", b.binaries[0], b.binaries[1]), Table: againstTable(chosen, all[0], all[1]), Notes: []string{
			"The figures of both binaries, and the ratio of the first to the second in the same round.",
		}})
	}
	return err
}

// captions returns the notes that say how the lines are measured.
func (b *bench) captions() []string {
	return []string{
		fmt.Sprintf("Bodies of %d bytes and %d connections of HTTP/1.1, unless the line says otherwise. Rounds: %d. In each round every contender is under load for %s, after a warm-up of %s, in random order. A ratio compares two contenders in the same round; the table has the median of the ratios.",
			load.NoteBody(usualBody).Size(), usualConnections, b.rounds, b.slice, warmUp(b.slice)),
		"By CPU: the ratio of the processor time per request, of gateway, load generator and backends together. This would be the ratio of the rates if only processor time limited them and no other process used the processors. If it differs much from the median, another process or the disk was the limit.",
		"Every contender is a separate process of the same binary, with an empty queue and the default logger with level INFO to a file, without access logs. Load generator, backends and gateway share the machine.",
		fmt.Sprintf("Steady: at most %s accepted events are not delivered yet. The rate is the smaller one of the accepted and of the delivered events, in the same time.", figures.Thousands(steadyWindow)),
		"One fdatasync is a write of 4 KiB to a file that was fully written before, followed by fdatasync, on the file system of the queue.",
		"Starts are measured from the start of the process. There is one large drain. It is suspended after each part for a small drain.",
	}
}

// threeTimes is the minimum ratio of the load generator's rate to the gateway's.
const threeTimes = 3

// generatorNote returns a note that compares the load generator's maximum rate with the fastest
// measurement of a gateway.
func generatorNote(all figures.Outcomes) string {
	ceiling, fastest := figures.MedianOf(all.Samples("generator"), figures.Rate), 0.0
	for _, m := range measurements {
		if m.name != "generator" && !m.bare {
			fastest = max(fastest, figures.MedianOf(all.Samples(m.name), figures.Rate))
		}
	}
	note := fmt.Sprintf("The load generator's maximum rate, with a responder in its own process that reads each request and answers 200: %s.", figures.ShowRate(ceiling))
	if fastest == 0 {
		return note
	}
	word := "at least three times, as required"
	if ceiling < threeTimes*fastest {
		word = "less than three times, which is required"
	}
	return fmt.Sprintf("%s That is %.1f times the gateway's highest rate (%s): %s.", note, ceiling/fastest, figures.ShowRate(fastest), word)
}
