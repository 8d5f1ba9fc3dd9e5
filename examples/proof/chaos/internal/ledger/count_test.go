package ledger

import (
	"testing"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

func TestCount(t *testing.T) {
	t.Parallel()
	type events = map[string][]string
	type accepted = map[string]map[string]int
	tests := map[string]struct {
		acknowledged events
		accepted     accepted
		want         table.Row
	}{
		"nothing":               {nil, accepted{"ehr": {}}, table.Row{}},
		"all delivered":         {events{"a": nil, "b": nil}, accepted{"ehr": {"a": 1, "b": 1}, "audit": {"a": 1, "b": 1}}, table.Row{Acknowledged: 2, Delivered: 2}},
		"one is lost":           {events{"a": nil, "b": nil}, accepted{"ehr": {"a": 1}}, table.Row{Acknowledged: 2, Delivered: 1, Lost: 1}},
		"lost at one of two":    {events{"a": nil}, accepted{"ehr": {"a": 1}, "audit": {}}, table.Row{Acknowledged: 1, Lost: 1}},
		"lost, another twice":   {events{"a": nil, "b": nil}, accepted{"ehr": {"a": 2}}, table.Row{Acknowledged: 2, Delivered: 1, Lost: 1, Duplicated: 1}},
		"duplicated":            {events{"a": nil}, accepted{"ehr": {"a": 3}, "audit": {"a": 2}}, table.Row{Acknowledged: 1, Delivered: 1, Duplicated: 3}},
		"not acknowledged":      {events{"a": nil}, accepted{"ehr": {"a": 1, "b": 2}}, table.Row{Acknowledged: 1, Delivered: 1, Duplicated: 1}},
		"for one upstream only": {events{"a": {"ehr"}}, accepted{"ehr": {"a": 1}, "audit": {}}, table.Row{Acknowledged: 1, Delivered: 1}},
		"lost at that one":      {events{"a": {"ehr"}}, accepted{"ehr": {}, "audit": {"a": 1}}, table.Row{Acknowledged: 1, Lost: 1}},
		"for one unknown":       {events{"a": {"warehouse"}}, accepted{"ehr": {"a": 1}}, table.Row{Acknowledged: 1, Lost: 1}},
		"no backend at all":     {events{"a": nil}, accepted{}, table.Row{Acknowledged: 1, Lost: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := Count(tt.acknowledged, tt.accepted); got != tt.want {
				t.Errorf("countEvents() = %+v, want %+v", got, tt.want)
			}
		})
	}
}
