package memtable

import (
	"slices"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Names are found until they are written. They are written in the order of their table,
// a few with each event, except dropped ones.
func TestNames(t *testing.T) {
	t.Parallel()
	n := NewNames(20)
	for seq := int64(1); seq <= 20; seq++ {
		if d := n.Due(1, seq-1); d != nil {
			t.Fatalf("with %d names %v are due", seq-1, d.Names)
		}
		n.Add(tables.Name{Hash: -seq, Seq: seq})
	}
	n.Add(tables.Name{Hash: -7, Seq: 21}) // the same hash, of a newer event
	if got := n.Find(-7); !slices.Equal(got, []int64{7, 21}) {
		t.Errorf("found %v", got)
	}
	if d := n.Due(0, 20); d != nil {
		t.Errorf("%v are due although no event is stored", d.Names)
	}
	d := n.Due(1, 20)
	if d == nil || len(d.Names) != namesPerEvent || d.Through != 0 || !slices.IsSortedFunc(d.Names, tables.CompareNames) {
		t.Fatalf("%+v", d)
	}
	if again := n.Due(1, 20); !slices.Equal(again.Names, d.Names) {
		t.Errorf("after a failed transaction %v are due, want %v", again.Names, d.Names)
	}
	n.Written(d)
	if all, batch := n.Len(); all != 21-namesPerEvent || batch != 21-namesPerEvent || n.Find(d.Names[0].Hash) != nil {
		t.Errorf("%d names, %d of them to write", all, batch)
	}
	n.Drop(tables.Name{Hash: -7, Seq: 7}, tables.Name{Hash: -7, Seq: 99})
	n.Add(tables.Name{Hash: 1, Seq: 22}) // for the next batch
	if d = n.Due(2, 22); len(d.Names) != 12 || d.Through != 20 || slices.Contains(d.Names, tables.Name{Hash: -7, Seq: 7}) {
		t.Fatalf("%+v", d)
	}
	n.Written(d)
	if all, batch := n.Len(); all != 1 || batch != 0 || !slices.Equal(n.Find(1), []int64{22}) {
		t.Errorf("%d names, %d of them to write", all, batch)
	}
	n.Clear()
	if all, _ := n.Len(); all != 0 || n.Find(1) != nil || n.Due(1, 22) != nil {
		t.Errorf("%d names", all)
	}
}
