package queuetest

import (
	"context"
	"errors"
	"math"
	"slices"
	"time"

	"pgregory.net/rapid"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/model"
	"github.com/scribegate/scribegate/verifier/event"
)

func (m *machine) replay(r *rapid.T) {
	var s queue.ReplaySelection
	switch rapid.IntRange(0, 2).Draw(r, "kind") {
	case 0:
		s.IDs = m.ids(r)
	case 1:
		s.State = rapid.SampledFrom([]queue.State{queue.Dead, queue.Dead, queue.Unrouted, queue.Unconfirmed}).Draw(r, "state")
		s.IDs, s.Match = m.among(r)
	default:
		s.Since = m.clock.Now().Add(-someDuration.Draw(r, "ago"))
	}
	s.Upstreams = fanOuts.Draw(r, "upstreams")
	if routes := slices.Concat(fanOuts.Draw(r, "routes"), someStages.Draw(r, "stages")); routes != nil {
		s.Route = func(*event.Event) []string { return routes }
	}
	got, err := m.engine.Replay(r.Context(), s)
	want, refused := m.model.Replay(s)
	if got != want || !refusedAs(err, refused) {
		r.Fatalf("Replay(%+v): %+v, %v; want %+v, %v", s, got, err, want, refused)
	}
}

func (m *machine) purge(r *rapid.T) {
	s := queue.PurgeSelection{DryRun: rapid.IntRange(0, 3).Draw(r, "dry run") == 0}
	switch rapid.IntRange(0, 2).Draw(r, "kind") {
	case 0:
		s.IDs, s.Force = m.ids(r), rapid.Bool().Draw(r, "force")
	case 1:
		s.State = rapid.SampledFrom([]queue.State{queue.Dead, queue.Quarantined, queue.Unrouted, queue.Unconfirmed}).Draw(r, "state")
		s.IDs, s.Match = m.among(r)
		if rapid.Bool().Draw(r, "before") {
			s.Before = m.clock.Now().Add(-someDuration.Draw(r, "ago"))
		}
	default:
		s.Upstream = someClaimants.Draw(r, "upstream")
	}
	got, err := m.engine.Purge(r.Context(), s)
	want, refused := m.model.Purge(s)
	if got != want || !refusedAs(err, refused) {
		r.Fatalf("Purge(%+v): %d, %v; want %d, %v", s, got, err, want, refused)
	}
}

// refusedAs reports whether an error is one of the possible errors, or is nil if there
// are none.
func refusedAs(err error, refused []error) bool {
	if len(refused) == 0 {
		return err == nil
	}
	return slices.ContainsFunc(refused, func(want error) bool { return errors.Is(err, want) })
}

// ids returns ids of events that may or may not be in the store.
func (m *machine) ids(r *rapid.T) []string {
	return rapid.SliceOfNDistinct(someIDs, 1, 2, rapid.ID[string]).Draw(r, "ids")
}

// among returns what restricts a selection by state.
func (m *machine) among(r *rapid.T) (ids []string, match queue.Match) {
	if rapid.Bool().Draw(r, "by id too") {
		ids = m.ids(r)
	}
	if rapid.Bool().Draw(r, "match") {
		match = until(m.clock.Now().Add(-someDuration.Draw(r, "ago")), rapid.SampledFrom([]string{"", "", "ehr", "warehouse"}).Draw(r, "matched"))
	}
	return ids, match
}

// until returns a Match of what came into its state by the time: of deliveries to the
// upstream if it is not empty.
func until(at time.Time, upstream string) queue.Match {
	return func(rec queue.Record, d *queue.DeliveryRecord) bool {
		if d == nil {
			return !rec.EndedAt.After(at)
		}
		return !d.History[len(d.History)-1].End().After(at) && (upstream == "" || d.Upstream == upstream)
	}
}

// compact starts a compaction. If one runs concurrently since an earlier call, it waits
// for its end instead.
func (m *machine) compact(r *rapid.T) {
	c, ok := m.engine.Queue.(queue.Compacter)
	if !ok {
		r.Skip("the engine has nothing to compact")
	}
	if m.compacted == nil {
		ended := make(chan error, 1)
		m.compacted = ended
		go func() {
			_, err := c.Compact(context.Background(), nil)
			ended <- err
		}()
		return
	}
	if err := <-m.compacted; err != nil {
		r.Fatalf("Compact: %v", err)
	}
	m.compacted = nil
}

// endCompaction waits for the compaction of a queue that was closed or killed, and
// ignores its error.
func (m *machine) endCompaction() {
	if m.compacted == nil {
		return
	}
	select {
	case err := <-m.compacted:
		_ = err // the compaction may have been interrupted
	case <-time.After(time.Minute):
		panic("the compaction did not end")
	}
	m.compacted = nil
}

// A bookmark is the cursor at the end of a page, with the last event of the page.
type bookmark struct {
	filter  queue.Filter
	arrival int // in the model; the next events of the listing arrived earlier
}

// maxBookmarks is the maximum number of bookmarks to keep.
const maxBookmarks = 8

var (
	allStates    = append([]queue.State{""}, queue.States...)
	allUpstreams = []string{"", "ehr", "warehouse", "unknown", completion}
	someLimits   = rapid.IntRange(1, 4)
)

// filter returns a random filter.
func (m *machine) filter(r *rapid.T) queue.Filter {
	f := queue.Filter{
		State:    rapid.SampledFrom(allStates).Draw(r, "state"),
		Upstream: rapid.SampledFrom(allUpstreams).Draw(r, "upstream"),
		Subject:  rapid.SampledFrom([]string{"", "", "", "note-1", "note-2"}).Draw(r, "subject"),
		Type:     rapid.SampledFrom([]string{"", "", "", "note.generated", "other"}).Draw(r, "type"),
		Limit:    someLimits.Draw(r, "limit"),
	}
	if rapid.IntRange(0, 2).Draw(r, "since") == 0 {
		f.Since = m.clock.Now().Add(-someDuration.Draw(r, "ago"))
	}
	return f
}

// page reads some pages of a listing, from the start or from an earlier bookmark,
// whatever has changed since.
func (m *machine) page(r *rapid.T) {
	b := bookmark{arrival: math.MaxInt, filter: m.filter(r)}
	if len(m.bookmarks) > 0 && rapid.Bool().Draw(r, "resume") {
		b = rapid.SampledFrom(m.bookmarks).Draw(r, "bookmark")
	}
	for more := true; more && rapid.IntRange(0, 3).Draw(r, "end") > 0; {
		b.filter.Limit = someLimits.Draw(r, "limit")
		if b, more = m.readPage(r, b); more {
			m.bookmarks = append(m.bookmarks, b)
			m.bookmarks = m.bookmarks[max(0, len(m.bookmarks)-maxBookmarks):]
		}
	}
}

// readPage reads one page and compares it. It reports whether there is another page,
// and returns its start.
func (m *machine) readPage(r *rapid.T, b bookmark) (next bookmark, more bool) {
	f := b.filter
	want := m.model.List(f)
	want = slices.DeleteFunc(want, func(e *model.Event) bool { return e.Arrival >= b.arrival })
	more = len(want) > f.Limit
	want = want[:min(f.Limit, len(want))]
	p, err := m.engine.Events(r.Context(), f)
	if err != nil || len(p.Records) != len(want) || (p.Next != "") != more {
		r.Fatalf("Events(%+v): %+v, %v; want %d records, and more: %t", f, p, err, len(want), more)
	}
	for i, e := range want {
		if got, want := text(p.Records[i]), text(e.Record()); got != want {
			r.Fatalf("Events(%+v): record %s at %d, want %s", f, got, i, want)
		}
	}
	if more {
		b.filter.Cursor, b.arrival = p.Next, want[len(want)-1].Arrival
	}
	return b, more
}

// compareListings compares the listing of all events and some others.
func (m *machine) compareListings(r *rapid.T) {
	for i := range 7 {
		f := queue.Filter{Limit: someLimits.Draw(r, "limit")}
		if i > 0 {
			f = m.filter(r)
		}
		b := bookmark{arrival: math.MaxInt, filter: f}
		for more := true; more; {
			b, more = m.readPage(r, b)
		}
	}
}
