package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// A section is a part of the report: a table with what has to be said of it.
type section struct {
	title string
	table table
	notes []string
}

// A report is all that a run found.
type report struct {
	machine  []string // a fact each
	sections []section
	rows     []row // of the lines, for the plot
}

// measure runs what the options ask for.
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

// titled names a binary in the titles of sections, where there are two.
func (b *bench) titled(binary string, sections ...section) []section {
	for i := range sections {
		if len(b.binaries) > 1 {
			sections[i].title += ": " + binary
		}
	}
	return sections
}

// measureLines makes the table of ratios.
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
			section{"What each did by itself", contenderTable(all[i]), []string{"Medians of the rounds. The ceiling is the load generator's, as a multiple of the rate. Others' CPU is the share of the machine's processors that neither the contender nor the load generator used, but somebody: the kernel's own work for them, and whatever else ran."}},
		))
	}
	if len(b.binaries) > 1 {
		r.add([]section{{fmt.Sprintf("%s against %s", b.binaries[0], b.binaries[1]), againstTable(chosen, all[0], all[1]), []string{
			"What each measured, and how many times the second's figure the first's is in the same round.",
		}}})
	}
	return err
}

// captions say how the lines were measured.
func (b *bench) captions() []string {
	return []string{
		fmt.Sprintf("Bodies of %d bytes and %d connections of HTTP/1.1, unless said. Rounds: %d. In each, every contender is under load for %s, after %s of warming up, in an order drawn anew. A ratio is one round's; the table has the median of all.",
			noteBody(usualBody).size(), usualConnections, b.rounds, b.slice, warmUp(b.slice)),
		"By CPU: the ratio of the processor time that a request takes, of gateway, load generator and backends together. It is what a rate would be where nothing but processors is waited for and nobody else uses them; where it is far from the median, somebody else does, or the disk holds.",
		"Every contender is a process of its own, of the same binary, with an empty queue and the default logger at INFO into a file; access logs are off. Load generator, backends and gateway share the machine.",
		fmt.Sprintf("Steady: no more than %s accepted events are on their way to the backend. The rate is the smaller of what was answered with 200 and what the backend took, in the same time.", thousands(steadyWindow)),
		"One fdatasync is a write of 4 KiB into a file whose space is allocated and written before, and the fdatasync after it, on the file system of the queue.",
		"Starts are measured from the start of the process. The large drain is one, held up after each part for a small one.",
	}
}

// threeTimes is how much faster than a gateway the load generator has to be.
const threeTimes = 3

// generatorNote holds the load generator's ceiling against what was measured
// with it.
func (o outcomes) generatorNote() string {
	ceiling, fastest := medianOf(o.samples("generator"), rate), 0.0
	for _, m := range measurements {
		if m.name != "generator" && !m.bare {
			fastest = max(fastest, medianOf(o.samples(m.name), rate))
		}
	}
	note := fmt.Sprintf("The load generator's ceiling, against a responder in its own process that reads each request and answers 200: %s.", showRate(ceiling))
	if fastest == 0 {
		return note
	}
	word := "at least the three times that are asked for"
	if ceiling < threeTimes*fastest {
		word = "less than the three times that are asked for"
	}
	return fmt.Sprintf("%s That is %.1f times what the gateway takes at most (%s): %s.", note, ceiling/fastest, showRate(fastest), word)
}

// print writes the report for a terminal.
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

// save writes the files that the options ask for.
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
		if err := os.WriteFile(f.name, []byte(text.String()), 0o644); err != nil { //nolint:gosec // it is for everybody
			errs = append(errs, fmt.Errorf("writing the report: %w", err))
		}
	}
	return errors.Join(errs...)
}
