package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A section is a part of the report: a table with notes.
type section struct {
	title string
	table table
	notes []string
}

// A report is the result of a run.
type report struct {
	machine  []string // facts
	sections []section
	rows     []row // of the lines, for the plot
}

// measure runs the parts that the options select.
func (b *bench) measure(ctx context.Context) (r report, err error) {
	m, err := b.machine()
	if err != nil {
		return r, err
	}
	r.machine = m
	if b.table {
		err = b.measureLines(ctx, &r)
	}
	for _, binary := range b.binaries {
		b.binary = binary
		var of report
		if b.grid && ctx.Err() == nil {
			err = errors.Join(err, b.measureGrid(ctx, &of))
		}
		if b.growth && ctx.Err() == nil {
			err = errors.Join(err, b.measureGrowth(ctx, &of))
		}
		r.add(b.titled(binary, of.sections...))
	}
	return r, err
}

func (r *report) add(sections []section) { r.sections = append(r.sections, sections...) }

// titled adds the binary to the titles of sections, if there are two.
func (b *bench) titled(binary string, sections ...section) []section {
	for i := range sections {
		if len(b.binaries) > 1 {
			sections[i].title += ": " + binary
		}
	}
	return sections
}

// measureLines measures the lines and adds their tables to the report.
func (b *bench) measureLines(ctx context.Context, r *report) error {
	chosen := choose(b.lines(), b.which)
	all, err := b.runRounds(ctx, needs(chosen))
	for i, binary := range b.binaries {
		rows := make([]row, 0, len(chosen))
		for _, l := range chosen {
			rows = append(rows, all[i].row(l))
		}
		if i == 0 {
			r.rows = rows
		}
		r.add(b.titled(binary,
			section{"Ratios", lineTable(rows), append(b.captions(), all[i].generatorNote())},
			section{"Each contender", contenderTable(all[i]), []string{"Medians of the rounds. The ceiling is the load generator's maximum rate, as a multiple of the rate. Others' CPU is the share of the machine's processors that other processes and the kernel used."}},
		))
	}
	if len(b.binaries) > 1 {
		r.add([]section{{fmt.Sprintf("%s against %s", b.binaries[0], b.binaries[1]), againstTable(chosen, all[0], all[1]), []string{
			"The figures of both binaries, and the ratio of the first to the second in the same round.",
		}}})
	}
	return err
}

// captions returns the notes that say how the lines are measured.
func (b *bench) captions() []string {
	return []string{
		fmt.Sprintf("Bodies of %d bytes and %d connections of HTTP/1.1, unless the line says otherwise. Rounds: %d. In each round every contender is under load for %s, after a warm-up of %s, in random order. A ratio compares two contenders in the same round; the table has the median of the ratios.",
			noteBody(usualBody).size(), usualConnections, b.rounds, b.slice, warmUp(b.slice)),
		"By CPU: the ratio of the processor time per request, of gateway, load generator and backends together. This would be the ratio of the rates if only processor time limited them and no other process used the processors. If it differs much from the median, another process or the disk was the limit.",
		"Every contender is a separate process of the same binary, with an empty queue and the default logger with level INFO to a file, without access logs. Load generator, backends and gateway share the machine.",
		fmt.Sprintf("Steady: at most %s accepted events are not delivered yet. The rate is the smaller one of the accepted and of the delivered events, in the same time.", thousands(steadyWindow)),
		"One fdatasync is a write of 4 KiB to a file that was fully written before, followed by fdatasync, on the file system of the queue.",
		"Starts are measured from the start of the process. There is one large drain. It is suspended after each part for a small drain.",
	}
}

// threeTimes is the minimum ratio of the load generator's rate to the gateway's.
const threeTimes = 3

// generatorNote returns a note that compares the load generator's maximum rate with the fastest
// measurement of a gateway.
func (o outcomes) generatorNote() string {
	ceiling, fastest := medianOf(o.samples("generator"), rate), 0.0
	for _, m := range measurements {
		if m.name != "generator" && !m.bare {
			fastest = max(fastest, medianOf(o.samples(m.name), rate))
		}
	}
	note := fmt.Sprintf("The load generator's maximum rate, with a responder in its own process that reads each request and answers 200: %s.", showRate(ceiling))
	if fastest == 0 {
		return note
	}
	word := "at least three times, as required"
	if ceiling < threeTimes*fastest {
		word = "less than three times, which is required"
	}
	return fmt.Sprintf("%s That is %.1f times the gateway's highest rate (%s): %s.", note, ceiling/fastest, showRate(fastest), word)
}

// print prints the report for a terminal.
func (r report) print(out io.Writer) {
	for _, fact := range r.machine {
		fmt.Fprintln(out, fact)
	}
	for _, s := range r.sections {
		fmt.Fprintf(out, "\n%s\n\n", s.title)
		s.table.print(out)
		for _, note := range s.notes {
			fmt.Fprintf(out, "\n%s\n", strings.ReplaceAll(note, "`", ""))
		}
	}
}

// markdown writes the report as Markdown.
func (r report) markdown(out io.Writer) {
	fmt.Fprintf(out, "# Benchmark\n\n")
	for _, fact := range r.machine {
		fmt.Fprintf(out, "- %s\n", fact)
	}
	for _, s := range r.sections {
		fmt.Fprintf(out, "\n## %s\n\n", s.title)
		s.table.markdown(out)
		for _, note := range s.notes {
			fmt.Fprintf(out, "\n%s\n", note)
		}
	}
}

// save writes the files of -markdown and -svg.
func (r report) save(o options) error {
	var errs []error
	for _, f := range []struct {
		name  string
		write func(io.Writer)
	}{{o.markdown, r.markdown}, {o.svg, func(out io.Writer) { plot(out, r.rows, r.machine) }}} {
		if f.name == "" || len(r.sections) == 0 {
			continue
		}
		var text strings.Builder
		f.write(&text)
		if err := os.WriteFile(f.name, []byte(text.String()), 0o644); err != nil { //nolint:gosec // everybody may read it
			errs = append(errs, fmt.Errorf("writing the report: %w", err))
		}
	}
	return errors.Join(errs...)
}
