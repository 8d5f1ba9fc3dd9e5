package policy

import (
	"slices"
	"testing"

	"github.com/scribegate/scribegate/verifier/event"
)

// Recent keeps within its limit, in order, and records which upstreams still wait.
func TestRecent(t *testing.T) {
	t.Parallel()
	r := NewRecent(100)
	for seq := int64(5); seq > 0; seq-- {
		r.Add(RecentEvent{Seq: seq, Event: &event.Event{ID: string(rune('0' + seq))}, Upstreams: []string{"ehr", "lab"}, Size: 30})
	}
	want := func(bytes int, seqs ...int64) {
		t.Helper()
		var got []int64
		for _, e := range r.All() {
			got = append(got, e.Seq)
			if r.Get(e.Seq) != e.Event {
				t.Errorf("Get(%d) returned another event", e.Seq)
			}
		}
		if !slices.Equal(got, seqs) || r.Bytes() != bytes {
			t.Errorf("%v with %d bytes, want %v with %d", got, r.Bytes(), seqs, bytes)
		}
	}
	want(90, 3, 4, 5)
	if r.Get(1) != nil {
		t.Error("an event above the limit is kept")
	}
	before := r.All()
	r.Settle(4, "ehr")
	r.Settle(1, "ehr")
	if got := r.All()[1].Upstreams; !slices.Equal(got, []string{"lab"}) {
		t.Errorf("the event waits for %v", got)
	}
	if !slices.Equal(before[1].Upstreams, []string{"ehr", "lab"}) {
		t.Error("Settle changed the result of an earlier All")
	}
	r.Drop(4)
	r.Drop(4)
	want(60, 3, 5)
	r.Add(RecentEvent{Seq: 6, Event: &event.Event{}, Size: 40})
	want(100, 3, 5, 6)
	r.Clear()
	want(0)
}

// An event that is replaced in the store is not returned any more, and the new one takes
// its place.
func TestRecentReplaced(t *testing.T) {
	t.Parallel()
	r := NewRecent(100)
	older, newer := &event.Event{ID: "a", Status: "older"}, &event.Event{ID: "a", Status: "newer"}
	r.Replacing(1) // unknown
	r.Add(RecentEvent{Seq: 1, Event: older, Size: 30})
	r.Replacing(1)
	if r.Get(1) != nil || len(r.All()) != 1 || r.Bytes() != 30 {
		t.Errorf("%+v with %d bytes", r.All(), r.Bytes())
	}
	r.Add(RecentEvent{Seq: 1, Event: newer, Size: 90})
	if r.Get(1) != newer || r.Bytes() != 90 {
		t.Errorf("%+v with %d bytes", r.All(), r.Bytes())
	}
	r.Add(RecentEvent{Seq: 1, Event: older, Size: 101})
	if r.Get(1) != nil || r.Bytes() != 0 || len(r.All()) != 0 {
		t.Errorf("%+v with %d bytes", r.All(), r.Bytes())
	}
}

func TestRecentDropBelow(t *testing.T) {
	t.Parallel()
	r := NewRecent(100)
	for seq := range int64(4) {
		r.Add(RecentEvent{Seq: seq, Event: &event.Event{}, Size: 10})
	}
	r.DropBelow(2)
	if r.Get(1) != nil || r.Get(2) == nil || r.Get(3) == nil || r.Bytes() != 20 {
		t.Errorf("left are %v, %d bytes", r.All(), r.Bytes())
	}
}
