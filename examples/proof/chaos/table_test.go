package main

import (
	"bytes"
	"testing"
	"time"
)

var rowsOfTests = []result{
	{fault: "kill -9", times: 500, acknowledged: 1234567, delivered: 1234566, lost: 1, duplicated: 89, recovery: 1234 * time.Millisecond, note: "a | b"},
	{fault: "nothing"},
}

func TestPrintText(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	printText(&out, rowsOfTests)
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
	printMarkdown(&out, rowsOfTests)
	const want = `| fault | times | acknowledged | delivered | lost | duplicated | longest recovery | note |
|---|---:|---:|---:|---:|---:|---:|---|
| kill -9 | 500 | 1,234,567 | 1,234,566 | 1 | 89 | 1.23 s | a \| b |
| nothing | 0 | 0 | 0 | 0 | 0 | - |  |
`
	if out.String() != want {
		t.Errorf("printMarkdown() printed\n%s\nwant\n%s", out.String(), want)
	}
}

func TestThousands(t *testing.T) {
	t.Parallel()
	for n, want := range map[int]string{0: "0", 7: "7", 999: "999", 1000: "1,000", 12345: "12,345", 1000000: "1,000,000", -1234: "-1,234", -123: "-123"} {
		if got := thousands(n); got != want {
			t.Errorf("thousands(%d) = %q, want %q", n, got, want)
		}
	}
}
