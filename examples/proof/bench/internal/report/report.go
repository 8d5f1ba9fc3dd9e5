package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
)

// A Section is a part of the report: a table with notes.
type Section struct {
	Title string
	Table Table
	Notes []string
}

// A Report is the result of a run.
type Report struct {
	Machine  []string // facts
	Sections []Section
	Rows     []figures.Row // of the lines, for the plot
}

// Add appends sections.
func (r *Report) Add(sections ...Section) { r.Sections = append(r.Sections, sections...) }

// Print prints the report for a terminal.
func (r Report) Print(out io.Writer) {
	for _, fact := range r.Machine {
		fmt.Fprintln(out, fact)
	}
	for _, s := range r.Sections {
		fmt.Fprintf(out, "\n%s\n\n", s.Title)
		s.Table.print(out)
		for _, note := range s.Notes {
			fmt.Fprintf(out, "\n%s\n", strings.ReplaceAll(note, "`", ""))
		}
	}
}

// markdown writes the report as Markdown.
func (r Report) markdown(out io.Writer) {
	fmt.Fprintf(out, "# Benchmark\n\n")
	for _, fact := range r.Machine {
		fmt.Fprintf(out, "- %s\n", fact)
	}
	for _, s := range r.Sections {
		fmt.Fprintf(out, "\n## %s\n\n", s.Title)
		s.Table.markdown(out)
		for _, note := range s.Notes {
			fmt.Fprintf(out, "\n%s\n", note)
		}
	}
}

// Save writes the report to a file as Markdown, and draws its rows to another one as SVG. A file
// without a name is not written.
func (r Report) Save(markdown, svg string) error {
	var errs []error
	for _, f := range []struct {
		name  string
		write func(io.Writer)
	}{{markdown, r.markdown}, {svg, func(out io.Writer) { plot(out, r.Rows, r.Machine) }}} {
		if f.name == "" || len(r.Sections) == 0 {
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
