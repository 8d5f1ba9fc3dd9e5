package partition

import (
	"testing"
)

func TestNext(t *testing.T) {
	t.Parallel()
	table := &Table{Name: "history"}
	tests := map[string]struct {
		all      []Partition
		width    int64
		at       int64
		from, to int64 // 0 and 0: none is needed
	}{
		"the first":                   {width: 100, at: 250, from: 200, to: 300},
		"covered":                     {all: []Partition{{From: 200, To: 300, Attached: true}}, width: 100, at: 299},
		"behind another":              {all: []Partition{{From: 200, To: 300, Attached: true}}, width: 100, at: 300, from: 300, to: 400},
		"behind one of another width": {all: []Partition{{From: 200, To: 340, Attached: true}}, width: 100, at: 350, from: 340, to: 400},
		"before another":              {all: []Partition{{From: 240, To: 340, Attached: true}}, width: 100, at: 210, from: 200, to: 240},
		"between two":                 {all: []Partition{{From: 200, To: 230, Attached: true}, {From: 260, To: 300, Attached: true}}, width: 1000, at: 250, from: 230, to: 260},
		"beside one that is detached": {all: []Partition{{From: 200, To: 300}}, width: 100, at: 250, from: 201, to: 300},
		"at its beginning":            {all: []Partition{{From: 200, To: 300}}, width: 100, at: 200, from: 200, to: 299},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for i := range tt.all {
				tt.all[i].Table = table
			}
			p, needed := table.next(tt.all, tt.width, tt.at)
			if want := tt.to > 0; needed != want || needed && (p.From != tt.from || p.To != tt.to) {
				t.Errorf("%d to %d, needed %t; want %d to %d", p.From, p.To, needed, tt.from, tt.to)
			}
		})
	}
}
