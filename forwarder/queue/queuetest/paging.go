package queuetest

import (
	"fmt"
	"math"
	"slices"

	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A bookmark is the cursor that a page ended with, and the event that it is
// behind.
type bookmark struct {
	filter  queue.Filter
	arrival int // in the model; what is listed next arrived before
}

// maxBookmarks is how many are kept to be used later.
const maxBookmarks = 8

var (
	someStates = rapid.SampledFrom([]queue.State{"", queue.Pending, queue.Delivered, queue.Dead, queue.Quarantined})
	anybody    = rapid.SampledFrom([]string{"", "ehr", "warehouse", "nobody"})
	someLimits = rapid.IntRange(1, 4)
)

// page reads some pages of a listing, from the beginning or from where an
// earlier one ended before whatever has happened since.
func (m *machine) page(r *rapid.T) {
	b := bookmark{arrival: math.MaxInt, filter: queue.Filter{State: someStates.Draw(r, "state"), Upstream: anybody.Draw(r, "upstream")}}
	if len(m.bookmarks) > 0 && rapid.Bool().Draw(r, "resume") {
		b = rapid.SampledFrom(m.bookmarks).Draw(r, "bookmark")
	}
	for more := true; more && rapid.IntRange(0, 3).Draw(r, "end") > 0; {
		b.filter.Limit = someLimits.Draw(r, "limit")
		if b, more = m.turn(r, b); more {
			m.bookmarks = append(m.bookmarks, b)
			m.bookmarks = m.bookmarks[max(0, len(m.bookmarks)-maxBookmarks):]
		}
	}
}

// turn reads one page and compares it. It reports whether there is another, and
// where that begins.
func (m *machine) turn(r *rapid.T, b bookmark) (next bookmark, more bool) {
	f := b.filter
	want := m.model.list(f.State, f.Upstream)
	want = slices.DeleteFunc(want, func(e *modelEvent) bool { return e.arrival >= b.arrival })
	more = len(want) > f.Limit
	want = want[:min(f.Limit, len(want))]
	p, err := m.engine.Events(r.Context(), f)
	if err != nil || len(p.Records) != len(want) || (p.Next != "") != more {
		r.Fatalf("Events(%+v): %+v, %v; want %d records, and more: %t", f, p, err, len(want), more)
	}
	for i, e := range want {
		if got := p.Records[i]; fmt.Sprint(got) != fmt.Sprint(e.record()) {
			r.Fatalf("Events(%+v): record %+v at %d, want %+v", f, got, i, e.record())
		}
	}
	if more {
		b.filter.Cursor, b.arrival = p.Next, want[len(want)-1].arrival
	}
	return b, more
}

// compareListings reads every listing, in pages of one size.
func (m *machine) compareListings(r *rapid.T) {
	limit := someLimits.Draw(r, "limit")
	for _, state := range []queue.State{"", queue.Pending, queue.Delivered, queue.Dead, queue.Quarantined} {
		for _, upstream := range []string{"", "ehr", "warehouse", "nobody"} {
			b := bookmark{arrival: math.MaxInt, filter: queue.Filter{State: state, Upstream: upstream, Limit: limit}}
			for more := true; more; {
				b, more = m.turn(r, b)
			}
		}
	}
}
