package report

import (
	"bytes"
	"testing"
)

var testTable = Table{Heads: []string{"line", "median"}, Left: 1, Cells: [][]string{{"bare `respond` | a", "0.60"}, {"b", "-"}}}

func TestTablePrint(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	testTable.print(&out)
	const want = "line              median\nbare respond | a  0.60\nb                 -\n"
	if out.String() != want {
		t.Errorf("print() printed\n%s\nwant\n%s", out.String(), want)
	}
}

func TestTableMarkdown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	testTable.markdown(&out)
	const want = "| line | median |\n|---|---:|\n| bare `respond` \\| a | 0.60 |\n| b | - |\n"
	if out.String() != want {
		t.Errorf("markdown() wrote\n%s\nwant\n%s", out.String(), want)
	}
}
