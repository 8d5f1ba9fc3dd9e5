package command

import (
	"fmt"
	"io"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// gap separates two columns.
const gap = "  "

// A cell is a text in a table.
type cell struct {
	text   string
	colour colour
	alone  bool // whether it is a line of its own, outside of the columns
}

// text returns a cell. Characters that do not print are replaced: a terminal would
// obey them.
func text(s string) cell {
	return cell{text: strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)}
}

// number returns a cell with a count.
func number(n int64) cell { return cell{text: strconv.FormatInt(n, 10)} }

// paint returns the cell with a colour, if when is set.
func (c cell) paint(with colour, when bool) cell {
	if when {
		c.colour = with
	}
	return c
}

// A column is one of a table with a header.
type column struct {
	name  string
	right bool // whether its cells end below each other, as numbers should
}

// A table prints rows whose columns line up. Widths are counted in runes; every rune
// that is printed is one column wide.
type table struct {
	out     io.Writer
	term    terminal
	indent  string
	columns []column // none: a table without a header
	rows    [][]cell
	widths  []int
}

func newTable(out io.Writer, columns ...column) *table {
	t := &table{out: out, term: terminalOf(out), columns: columns}
	if len(columns) > 0 {
		t.row(heads(columns)...)
	}
	return t
}

func heads(columns []column) []cell {
	cells := make([]cell, len(columns))
	for i, c := range columns {
		cells[i] = cell{text: c.name, colour: dim}
	}
	return cells
}

// row adds a row, which is printed by flush.
func (t *table) row(cells ...cell) {
	t.rows = append(t.rows, cells)
	for i, c := range cells {
		if c.alone {
			continue
		}
		if i == len(t.widths) {
			t.widths = append(t.widths, 0)
		}
		t.widths[i] = max(t.widths[i], utf8.RuneCountInString(c.text))
	}
}

// named adds a row of cells by the names of their columns. Cells of columns that the
// table does not have are left out.
func (t *table) named(cells map[string]cell) {
	row := make([]cell, len(t.columns))
	for i, c := range t.columns {
		row[i] = cells[c.name]
	}
	t.row(row...)
}

// remark adds a line that is not a row.
func (t *table) remark(s string) {
	c := text(s)
	c.colour, c.alone = dim, true
	t.row(c)
}

// width returns the width of the longest line so far.
func (t *table) width() int {
	all := len(t.indent) + len(gap)*(len(t.widths)-1)
	for _, w := range t.widths {
		all += w
	}
	return all
}

// fits reports whether the rows so far are as narrow as the terminal.
func (t *table) fits() bool { return t.term.width == 0 || t.width() <= t.term.width }

// flush prints the rows so far. Later rows line up with them, as far as they fit.
func (t *table) flush() error {
	for _, row := range t.rows {
		if _, err := fmt.Fprintln(t.out, t.line(row)); err != nil {
			return fmt.Errorf("printing the result: %w", err)
		}
	}
	t.rows = nil
	return nil
}

func (t *table) line(row []cell) string {
	var b strings.Builder
	b.WriteString(t.indent)
	for i, c := range row {
		if i > 0 {
			b.WriteString(gap)
		}
		padding := ""
		if !c.alone {
			padding = strings.Repeat(" ", t.widths[i]-utf8.RuneCountInString(c.text))
		}
		if i < len(t.columns) && t.columns[i].right {
			b.WriteString(padding)
			padding = ""
		}
		b.WriteString(t.term.paint(c.text, c.colour))
		if i < len(row)-1 {
			b.WriteString(padding)
		}
	}
	return strings.TrimRight(b.String(), " ")
}
