package table

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"
)

// columns are the column heads of the table.
var columns = []string{"fault", "times", "acknowledged", "delivered", "lost", "duplicated", "longest recovery", "note"}

// cells returns the cells of a row.
func (r Row) cells() []string {
	return []string{
		r.Fault, Thousands(r.Times), Thousands(r.Acknowledged), Thousands(r.Delivered), Thousands(r.Lost),
		Thousands(r.Duplicated), recoveryCell(r.Recovery), r.Note,
	}
}

// Print prints the table with aligned columns.
func Print(out io.Writer, rows []Row) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(columns, "\t"))
	for _, row := range rows {
		fmt.Fprintln(w, strings.Join(row.cells(), "\t"))
	}
	_ = w.Flush() // an error could not be reported either
}

// PrintMarkdown prints the table in Markdown.
func PrintMarkdown(out io.Writer, rows []Row) {
	fmt.Fprintf(out, "| %s |\n|---|%s---|\n", strings.Join(columns, " | "), strings.Repeat("---:|", len(columns)-2))
	for _, row := range rows {
		cells := row.cells()
		for i := range cells {
			cells[i] = strings.ReplaceAll(cells[i], "|", `\|`)
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
}

func recoveryCell(d time.Duration) string {
	if d == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f s", d.Seconds())
}
