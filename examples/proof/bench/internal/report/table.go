package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// A Table has a head and rows of cells.
type Table struct {
	Heads []string
	Left  int // the number of columns with text; the others have figures
	Cells [][]string
}

// print prints a table with aligned columns.
func (t Table) print(out io.Writer) {
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, strings.Join(t.Heads, "\t"))
	for _, row := range t.Cells {
		fmt.Fprintln(w, strings.ReplaceAll(strings.Join(row, "\t"), "`", ""))
	}
	_ = w.Flush() // an error could not be reported either
}

// markdown writes a table in Markdown.
func (t Table) markdown(out io.Writer) {
	fmt.Fprintf(out, "| %s |\n|%s%s\n", strings.Join(t.Heads, " | "), strings.Repeat("---|", t.Left), strings.Repeat("---:|", len(t.Heads)-t.Left))
	for _, row := range t.Cells {
		escaped := make([]string, len(row))
		for i, cell := range row {
			escaped[i] = strings.ReplaceAll(cell, "|", `\|`)
		}
		fmt.Fprintf(out, "| %s |\n", strings.Join(escaped, " | "))
	}
}
