package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
)

// columns are the column heads of the table.
var columns = []string{"fault", "times", "acknowledged", "delivered", "lost", "duplicated", "longest recovery", "note"}

// cells returns the cells of a row.
func (r result) cells() []string {
	return []string{
		r.fault, thousands(r.times), thousands(r.acknowledged), thousands(r.delivered), thousands(r.lost),
		thousands(r.duplicated), recoveryCell(r.recovery), r.note,
	}
}

// printText prints the table with aligned columns.
func printText(out io.Writer, rows []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(columns, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row.cells(), "\t"))
	}
	_ = w.Flush() // an error could not be reported either
}

// printMarkdown prints the table in Markdown.
func printMarkdown(out io.Writer, rows []result) {
	fmt.Fprintf(out, "| %s |\n|---|%s---|\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)-2))
	for _, row := range rows {
		cells := row.cells()
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
}

// thousands formats a count with commas.
func thousands(n int) string { return humanize.Comma(int64(n)) }

func recoveryCell(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
