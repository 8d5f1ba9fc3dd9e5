package main

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"
)

// columns are the heads of the table.
var columns = []string{"fault", "times", "acknowledged", "delivered", "lost", "duplicated", "longest recovery", "note"}

// cells returns a row's contents, one for each column.
func (r result) cells() []string {
	return []string{
		r.fault, thousands(r.times), thousands(r.acknowledged), thousands(r.delivered), thousands(r.lost),
		thousands(r.duplicated), recoveryCell(r.recovery), r.note,
	}
}

// printText prints the table in aligned columns.
func printText(out io.Writer, rows []result) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(columns, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row.cells(), "\t"))
	}
	_ = w.Flush() // what cannot be printed cannot be reported either
}

// printMarkdown prints the table as Markdown has it.
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

// thousands writes a count with a comma before every three digits.
func thousands(n int) string {
	digits := strconv.Itoa(n)
	for i := len(digits) - 3; i > 0 && digits[i-1] != '-'; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func recoveryCell(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
