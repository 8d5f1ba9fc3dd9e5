package queuetest

import (
	"fmt"
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/model"
)

// finding has the cases of listings by subject, type and time.
var finding = []testCase{
	{name: "find: by subject, type and time", test: func(h *harness) {
		storeForFinding(h)
		since := h.Now().Add(-time.Minute) // selects the last two
		for _, c := range []struct {
			filter queue.Filter
			want   []string
		}{
			{queue.Filter{Subject: "note-1"}, []string{"f", "c", "a"}},
			{queue.Filter{Subject: "note-1", Type: "note.failed"}, []string{"f", "c"}},
			{queue.Filter{Type: "note.failed"}, []string{"f", "d", "c"}},
			{queue.Filter{Type: "note"}, []string{}},
			{queue.Filter{Type: "com.soapnoteapi.note.failed"}, []string{}},
			{queue.Filter{Subject: "note"}, []string{}},
			{queue.Filter{Subject: "NOTE-1"}, []string{}},
			{queue.Filter{Subject: "note-%"}, []string{}},
			{queue.Filter{Since: since}, []string{"g", "f"}},
			{queue.Filter{Since: since.Add(time.Second)}, []string{"g"}},
			{queue.Filter{Since: h.Now().Add(time.Second)}, []string{}},
			{queue.Filter{Since: since, Subject: "note-1"}, []string{"f"}},
			{queue.Filter{Since: since, Type: "other"}, []string{"g"}},
			{queue.Filter{Since: since, State: queue.Quarantined}, []string{"g"}},
			{queue.Filter{Subject: "note-1", State: queue.Dead}, []string{"c"}},
			{queue.Filter{Subject: "note-1", State: queue.Pending}, []string{"f", "c"}},
			{queue.Filter{Subject: "note-1", State: queue.Pending, Upstream: "ehr"}, []string{"f"}},
			{queue.Filter{Type: "note.failed", Upstream: "warehouse"}, []string{"c"}},
		} {
			for _, c.filter.Limit = range []int{1, 2, 100} {
				if got := h.list(c.filter); !slices.Equal(got, c.want) {
					h.Errorf("Events(%+v): %v, want %v", c.filter, got, c.want)
				}
			}
		}
	}},
	{name: "find: every combination of filters", test: func(h *harness) {
		storeForFinding(h)
		p, err := h.Events(h.Context(), queue.Filter{Limit: 100})
		if err != nil || len(p.Records) != 7 {
			h.Fatalf("Events: %+v, %v; want 7 records", p, err)
		}
		for _, f := range everyFilter(h.Now()) {
			want := []string{}
			for _, r := range p.Records {
				if model.Matches(r, f) {
					want = append(want, r.ID)
				}
			}
			for _, f.Limit = range []int{1, 3} {
				if got := h.list(f); !slices.Equal(got, want) {
					h.Errorf("Events(%+v): %v, want %v", f, got, want)
				}
			}
		}
	}},
	{name: "find: by time of receipt, regardless of the order of the stores", test: func(h *harness) {
		now := h.Now()
		for id, age := range []time.Duration{0, 2 * time.Hour, time.Minute, time.Hour, 0} {
			h.storeItem(queue.Item{Event: Event(fmt.Sprint("e", id), now.Add(-age)), Upstreams: []string{"ehr"}}, false)
		}
		for _, c := range []struct {
			age  time.Duration
			want []string
		}{
			{0, []string{"e4", "e0"}},
			{time.Minute, []string{"e4", "e2", "e0"}},
			{time.Hour, []string{"e4", "e3", "e2", "e0"}},
			{time.Hour - time.Second, []string{"e4", "e2", "e0"}},
		} {
			for _, limit := range []int{1, 2, 100} {
				if got := h.list(queue.Filter{Since: now.Add(-c.age), Limit: limit}); !slices.Equal(got, c.want) {
					h.Errorf("since %s ago, in pages of %d: %v, want %v", c.age, limit, got, c.want)
				}
			}
		}
	}},
	{name: "find: an event without a subject", test: func(h *harness) {
		h.storeItem(queue.Item{Event: Event("a", h.Now(), Subject("")), Upstreams: []string{"ehr"}}, false)
		h.store("b", "ehr")
		if got := h.record("a").Subject; got != "" {
			h.Fatalf("subject %q, want none", got)
		}
		if got := h.list(queue.Filter{Subject: "subject-b", Limit: 2}); !slices.Equal(got, []string{"b"}) {
			h.Fatalf("%v are listed by subject, want b", got)
		}
		h.wantLeft("b", "a")
	}},
	{name: "find: a subject is found while its trace is kept", test: func(h *harness) {
		h.store("a", "ehr")
		h.deliver(h.claimOne("ehr", "a"))
		f := queue.Filter{Subject: "subject-a", Limit: 2}
		h.wait(h.settings.HistoryRetention - time.Second)
		h.reopen()
		if got := h.list(f); !slices.Equal(got, []string{"a"}) {
			h.Fatalf("%v are listed, want a", got)
		}
		h.wait(time.Second)
		if got := h.list(f); len(got) != 0 {
			h.Fatalf("%v are listed, want none", got)
		}
	}},
}

// storeForFinding stores the events a to g at intervals of a minute, g now.
func storeForFinding(h *harness) {
	h.Helper()
	store := func(id, subject, short string, upstreams ...string) {
		h.Helper()
		h.storeItem(queue.Item{Event: Event(id, h.Now(), Subject(subject), Type(short)), Upstreams: upstreams}, false)
		h.Advance(time.Minute)
	}
	store("a", "note-1", "note.generated", "ehr")
	h.deliver(h.claimOne("ehr", "a"))
	store("b", "note-2", "note.generated", "ehr")
	h.fail(h.claimOne("ehr", "b"))
	store("c", "note-1", "note.failed", "ehr", "warehouse")
	h.fail(h.claimOne("ehr", "c"))
	store("d", "note-2", "note.failed")
	h.storeItem(asideItem(Event("e", h.Now(), Subject("note-2")), queue.Unrouted), false)
	h.Advance(time.Minute)
	store("f", "note-1", "note.failed", "ehr")
	h.storeItem(asideItem(Event("g", h.Now(), Subject(""), Type("other")), queue.Quarantined), false)
}

// everyFilter returns filters with every combination of criteria.
func everyFilter(now time.Time) (filters []queue.Filter) {
	for _, state := range allStates {
		for _, upstream := range allUpstreams {
			for _, subject := range []string{"", "note-1", "note-2", "unknown"} {
				for _, short := range []string{"", "note.generated", "note.failed", "other"} {
					for _, since := range []time.Time{{}, now.Add(-4 * time.Minute), now.Add(-time.Minute)} {
						filters = append(filters, queue.Filter{State: state, Upstream: upstream, Subject: subject, Type: short, Since: since})
					}
				}
			}
		}
	}
	return filters
}
