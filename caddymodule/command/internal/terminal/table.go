package terminal

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

// A Cell is a text in a table.
type Cell struct {
	text   string
	colour Colour
	alone  bool // whether it is a line of its own, outside the columns
}

// Text returns a cell with the text, in printable form.
func Text(s string) Cell { return Cell{text: Printable(s)} }

// Printable returns a text whose control characters are replaced, since a terminal
// would act on them.
func Printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return utf8.RuneError
	}, s)
}

// String returns the text of the cell without its colour.
func (c Cell) String() string { return c.text }

// Number returns a cell with a count.
func Number(n int64) Cell { return Cell{text: strconv.FormatInt(n, 10)} }

// Paint returns the cell with a colour, if when is true.
func (c Cell) Paint(with Colour, when bool) Cell {
	if when {
		c.colour = with
	}
	return c
}

// A Column is one of a table with a header.
type Column struct {
	name  string
	right bool // whether its cells are aligned on the right
}

// A Table prints rows whose columns line up. It exists since text/tabwriter counts the
// escape sequences of colours as text, aligns all columns on the same side, and does not
// return the width. Each rune counts as one column.
type Table struct {
	out     io.Writer
	term    Terminal
	indent  string
	columns []Column // empty: a table without a header
	rows    [][]Cell
	widths  []int
}

// NewTable returns a table with these columns, or without a header if there are none.
func NewTable(out io.Writer, columns ...Column) *Table {
	t := &Table{out: out, term: Of(out), columns: columns}
	if len(columns) > 0 {
		t.Row(heads(columns)...)
	}
	return t
}

func heads(columns []Column) []Cell {
	cells := make([]Cell, len(columns))
	for i, c := range columns {
		cells[i] = Cell{text: c.name, colour: dim}
	}
	return cells
}

// Row adds a row. Flush prints it.
func (t *Table) Row(cells ...Cell) {
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

// Named adds a row of cells by the names of their columns. It skips cells of columns that
// the table does not have.
func (t *Table) Named(cells map[string]Cell) {
	row := make([]Cell, len(t.columns))
	for i, c := range t.columns {
		row[i] = cells[c.name]
	}
	t.Row(row...)
}

// Remark adds a line that is not a row.
func (t *Table) Remark(s string) {
	c := Text(s)
	c.colour, c.alone = dim, true
	t.Row(c)
}

// width returns the width of the longest line so far.
func (t *Table) width() int {
	all := len(t.indent) + len(gap)*(len(t.widths)-1)
	for _, w := range t.widths {
		all += w
	}
	return all
}

// Fits reports whether the rows so far are as narrow as the terminal.
func (t *Table) Fits() bool { return t.term.width == 0 || t.width() <= t.term.width }

// Flush prints the rows so far. Later rows line up with them, as far as they fit.
func (t *Table) Flush() error {
	for _, row := range t.rows {
		if _, err := fmt.Fprintln(t.out, t.line(row)); err != nil {
			return fmt.Errorf("printing the result: %w", err)
		}
	}
	t.rows = nil
	return nil
}

func (t *Table) line(row []Cell) string {
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
		b.WriteString(t.term.Cell(c))
		if i < len(row)-1 {
			b.WriteString(padding)
		}
	}
	return strings.TrimRight(b.String(), " ")
}

// Left returns a column whose cells are aligned on the left.
func Left(name string) Column { return Column{name: name} }

// Right returns a column whose cells are aligned on the right, as numbers should be.
func Right(name string) Column { return Column{name: name, right: true} }
