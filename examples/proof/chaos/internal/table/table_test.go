package table

import (
	"bytes"
	"testing"
	"time"
)

var rowsOfTests = []Row{
	{Fault: "kill -9", Times: 500, Acknowledged: 1234567, Delivered: 1234566, Lost: 1, Duplicated: 89, Recovery: 1234 * time.Millisecond, Note: "a | b"},
	{Fault: "nothing"},
}

func TestPrintText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	Print(&out, rowsOfTests)
	const want = `fault    times  acknowledged  delivered  lost  duplicated  longest recovery  note
kill -9  500    1,234,567     1,234,566  1     89          1.23 s            a | b
nothing  0      0             0          0     0           -                 
`
	if out.String() != want {
		t.Errorf("printText() printed\n%s\nwant\n%s", out.String(), want)
	}
}

func TestPrintMarkdown(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	PrintMarkdown(&out, rowsOfTests)
	const want = `| fault | times | acknowledged | delivered | lost | duplicated | longest recovery | note |
|---|---:|---:|---:|---:|---:|---:|---|
| kill -9 | 500 | 1,234,567 | 1,234,566 | 1 | 89 | 1.23 s | a \| b |
| nothing | 0 | 0 | 0 | 0 | 0 | - |  |
`
	if out.String() != want {
		t.Errorf("printMarkdown() printed\n%s\nwant\n%s", out.String(), want)
	}
}
