package terminal

import (
	"errors"
	"strings"
	"testing"
)

func TestTable(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	tab := NewTable(&b, Left("NAME"), Right("COUNT"), Left("STATE"))
	tab.term.colours = true
	tab.Row(Text("ehr"), Number(7), Text("dead").Paint(Red, true))
	tab.Row(Text("wärehouse-1"), Number(1_000_000), Text("").Paint(Red, true))
	tab.Remark("a remark that is longer than any of the columns")
	tab.Row(Text("bad\x1b[2Jname\n"), Number(0).Paint(Red, false), Text("-"))
	if n := tab.width(); n != 12+2+7+2+5 {
		t.Errorf("%d columns wide", n)
	}
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	tab.Row(Text("later"), Number(1), Text("delivered"))
	if err := tab.Flush(); err != nil {
		t.Fatal(err)
	}
	const want = "\x1b[2mNAME\x1b[0m            \x1b[2mCOUNT\x1b[0m  \x1b[2mSTATE\x1b[0m\n" +
		"ehr                 7  \x1b[31mdead\x1b[0m\n" +
		"wärehouse-1   1000000\n" +
		"\x1b[2ma remark that is longer than any of the columns\x1b[0m\n" +
		"bad\ufffd[2Jname\ufffd        0  -\n" +
		"later               1  delivered\n"
	if b.String() != want {
		t.Errorf("printed\n%q\nwant\n%q", b.String(), want)
	}
	tab.out = brokenWriter{}
	tab.Row(Text("lost"))
	if err := tab.Flush(); err == nil {
		t.Error("a table that could not be printed is none")
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errors.New("no space left") }
