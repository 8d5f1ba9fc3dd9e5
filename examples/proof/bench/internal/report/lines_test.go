package report

import (
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
)

// testRows returns a row for each kind of line and each verdict.
func testRows() []figures.Row {
	one := func(v float64) figures.Spread {
		return figures.Spread{Number: 3, Median: v, Low: v * 0.9, High: v * 1.1}
	}
	return []figures.Row{
		{Line: figures.Line{Text: "verify only", Against: "bare `respond`", Of: figures.Of("verify", figures.Rate), Least: 0.6, Aim: 0.8, Unit: figures.ShowRatio}, Ratio: one(0.85), ByCPU: one(0.5), Value: one(8500), Base: one(10_000)},
		{Line: figures.Line{Text: "accept <durably>", Against: "bare `respond`", Of: figures.Of("accept", figures.Rate), Least: 0.35, Aim: 0.6, Unit: figures.ShowRatio}, Ratio: one(0.4), Value: one(4000), Base: one(10_000)},
		{Line: figures.Line{Text: "latency", Against: "the disk", Of: figures.Of("accept-1", figures.P50), Least: 1.6, Aim: 1.2, Less: true, Unit: figures.ShowRatio}, Ratio: one(9), Value: one(0.009), Base: one(0.001)},
		{Line: figures.Line{Text: "start", Of: figures.Of("start-cold", figures.Took), Least: 2, Aim: 0.5, Less: true, Unit: figures.ShowSeconds}, Ratio: one(0.1), Value: one(0.1)},
		{Line: figures.Line{Text: "CPU", Against: "bare `respond`", Of: figures.Of("accept", figures.CPU), Less: true, Unit: figures.ShowRatio}, Ratio: one(5), Value: one(0.0002), Base: one(0.00004)},
		{Line: figures.Line{Text: "never", Against: "nothing", Of: figures.Of("other", figures.Rate), Least: 1, Aim: 2, Unit: figures.ShowRatio}},
	}
}

func TestLineTable(t *testing.T) {
	t.Parallel()
	cells := LineTable(testRows()).Cells
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
