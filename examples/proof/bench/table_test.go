package main

import (
	"bytes"
	"strings"
	"testing"
)

var testTable = table{heads: []string{"line", "median"}, left: 1, cells: [][]string{{"bare `respond` | a", "0.60"}, {"b", "-"}}}

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

// testRows returns a row for each kind of line and each verdict.
func testRows() []row {
	one := func(v float64) spread { return spread{3, v, v * 0.9, v * 1.1} }
	return []row{
		{line: line{text: "verify only", against: "bare `respond`", of: figure{"verify", rate}, least: 0.6, aim: 0.8, unit: showRatio}, ratio: one(0.85), byCPU: one(0.5), value: one(8500), base: one(10_000)},
		{line: line{text: "accept <durably>", against: "bare `respond`", of: figure{"accept", rate}, least: 0.35, aim: 0.6, unit: showRatio}, ratio: one(0.4), value: one(4000), base: one(10_000)},
		{line: line{text: "latency", against: "the disk", of: figure{"accept-1", p50}, least: 1.6, aim: 1.2, less: true, unit: showRatio}, ratio: one(9), value: one(0.009), base: one(0.001)},
		{line: line{text: "start", of: figure{"start-cold", took}, least: 2, aim: 0.5, less: true, unit: showSeconds}, ratio: one(0.1), value: one(0.1)},
		{line: line{text: "CPU", against: "bare `respond`", of: figure{"accept", cpu}, less: true, unit: showRatio}, ratio: one(5), value: one(0.0002), base: one(0.00004)},
		{line: line{text: "never", against: "nothing", of: figure{"other", rate}, least: 1, aim: 2, unit: showRatio}},
	}
}

func TestLineTable(t *testing.T) {
	t.Parallel()
	cells := lineTable(testRows()).cells
	for i, want := range []string{
		"verify only|bare `respond`|0.85|0.77|0.94|0.50|≥ 0.60|yes|≥ 0.80|yes|8,500/s|10,000/s",
		"accept <durably>|bare `respond`|0.40|0.36|0.44|-|≥ 0.35|yes|≥ 0.60|no|4,000/s|10,000/s",
		"latency|the disk|9.00|8.10|9.90|-|≤ 1.60|no|≤ 1.20|no|9.00 ms|1.00 ms",
		"start||100 ms|90.0 ms|110 ms|-|≤ 2.00 s|yes|≤ 500 ms|yes|100 ms|-",
		"CPU|bare `respond`|5.00|4.50|5.50|-|reported||reported||200.0 µs|40.0 µs",
		"never|nothing|-|-|-|-|≥ 1.00|not measured|≥ 2.00|not measured|-|-",
	} {
		if got := strings.Join(cells[i], "|"); got != want {
			t.Errorf("the row is\n%s\nwant\n%s", got, want)
		}
	}
}

func TestContenderTable(t *testing.T) {
	t.Parallel()
	all := ran()
	all["generator"] = []outcome{{sample: sample{rate: 300}}}
	cells := contenderTable(all).cells
	var got []string
	for _, row := range cells {
		got = append(got, row[0]+" "+row[1]+" "+row[len(row)-1])
	}
	want := "bare `respond` 250/s 1.2 times;bare `respond`, 1 connection - -;the load generator alone 300/s 1.0 times;accept durably 70/s 4.3 times;write 4 KiB and fdatasync - -"
	if strings.Join(got, ";") != want {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, ";"), want)
	}
}
