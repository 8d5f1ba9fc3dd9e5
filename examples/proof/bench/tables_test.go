package main

import (
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
)

func TestContenderTable(t *testing.T) {
	t.Parallel()
	all := figures.Outcomes{
		"generator": {{Sample: figures.Sample{Rate: 300}}},
		"respond":   {{Sample: figures.Sample{Rate: 100}}, {Err: errTest}, {Sample: figures.Sample{Rate: 400}}},
		"respond-1": {{Sample: figures.Sample{P50: 0.0005}}},
		"accept":    {{Sample: figures.Sample{Rate: 50, P50: 0.003}}, {Sample: figures.Sample{Rate: 70}}, {Sample: figures.Sample{Rate: 100}}},
		"fdatasync": {{Sample: figures.Sample{P50: 0.001}}},
	}
	cells := contenderTable(all).Cells
	var got []string
	for _, row := range cells {
		got = append(got, row[0]+" "+row[1]+" "+row[len(row)-1])
	}
	want := "bare `respond` 250/s 1.2 times;bare `respond`, 1 connection - -;the load generator alone 300/s 1.0 times;accept durably 70/s 4.3 times;write 4 KiB and fdatasync - -"
	if strings.Join(got, ";") != want {
		t.Errorf("the table is\n%s\nwant\n%s", strings.Join(got, ";"), want)
	}
}
