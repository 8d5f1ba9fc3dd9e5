package memtable

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

// Unfiled keeps events in order, with their newest state, until they are filed or
// removed.
func TestUnfiled(t *testing.T) {
	t.Parallel()
	var u Unfiled
	u.Clear()
	want := func(seqs ...int64) {
		t.Helper()
		var got []int64
		for _, r := range u.All() {
			got = append(got, r.Seq)
			if u.Get(r.Seq) != r {
				t.Errorf("Get(%d) returned another event", r.Seq)
			}
		}
		if !slices.Equal(got, seqs) || u.Len() != len(seqs) {
			t.Errorf("%v are unfiled, want %v", got, seqs)
		}
	}
	for seq := int64(1); seq <= 6; seq++ {
		u.Add(&tables.Record{Seq: seq * 10})
	}
	changed := &tables.Record{Seq: 30, Event: policy.Event{Reason: "changed"}}
	u.Change(changed)
	u.Change(&tables.Record{Seq: 31}) // does not exist, or no longer
	if u.Get(30) != changed || u.Get(31) != nil {
		t.Errorf("%v, %v", u.Get(30), u.Get(31))
	}
	u.Remove(20)
	u.Remove(21)
	want(10, 30, 40, 50, 60)
	u.Filed(35)
	want(40, 50, 60)
	u.Filed(50)
	want(60)
	u.Filed(100)
	want()
	u.Add(&tables.Record{Seq: 110})
	u.Clear()
	want()
}

// Events are overdue FileAfter after the first of them was added. Of many, the older
// half is overdue at once. Postpone delays both.
func TestUnfiledOverdue(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var u Unfiled
		u.Clear()
		want := func(overdue int, until time.Duration) {
			t.Helper()
			if n, d := u.Overdue(), u.Until(); n != overdue || d != until {
				t.Errorf("%d overdue, the next in %v; want %d and %v", n, d, overdue, until)
			}
		}
		want(0, time.Hour)
		u.Add(&tables.Record{Seq: 1})
		time.Sleep(FileAfter - time.Millisecond)
		u.Add(&tables.Record{Seq: 2})
		want(0, time.Millisecond)
		time.Sleep(time.Millisecond)
		want(2, 0)
		u.Postpone(time.Second)
		want(0, time.Second)
		time.Sleep(time.Second)
		want(2, 0)
		u.Filed(1)
		want(0, FileAfter)
		for seq := int64(3); u.Len() < manyUnfiled; seq++ {
			u.Add(&tables.Record{Seq: seq})
		}
		want(manyUnfiled/2, FileAfter)
	})
}
