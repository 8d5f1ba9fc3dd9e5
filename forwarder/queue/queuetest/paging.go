package queuetest

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/model"
)

// paging has the cases of listings of many events.
var paging = []testCase{
	{name: "page: many events in mixed states, in pages of any size", test: func(h *harness) {
		all := storeMixed(h, 3000)
		for _, f := range mixedFilters(h) {
			want := []string{}
			for _, r := range all {
				if model.Matches(r, f) {
					want = append(want, r.ID)
				}
			}
			for _, f.Limit = range []int{7, 100, 999, 5000} {
				if got := h.list(f); !slices.Equal(got, want) {
					h.Errorf("Events(%+v): %d events, want %d: %v and %v", f, len(got), len(want), got, want)
				}
			}
			if f.Limit = 1; len(want) < 200 {
				if got := h.list(f); !slices.Equal(got, want) {
					h.Errorf("Events(%+v): %d events, want %d: %v and %v", f, len(got), len(want), got, want)
				}
			}
		}
	}},
	{name: "page: many events while some are stored and purged between the pages", test: func(h *harness) {
		storeMixed(h, 600)
		for i, f := range mixedFilters(h) {
			for _, f.Limit = range []int{5, 40} {
				pageWithChanges(h, f, fmt.Sprint("new", i, "-", f.Limit, "-"))
			}
		}
	}},
	{name: "page: many events while others are stored and purged all the time", test: func(h *harness) {
		all := storeMixed(h, 600)
		done := make(chan struct{})
		var changes sync.WaitGroup
		changes.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-done:
					return
				default:
				}
				id := fmt.Sprint("other", i)
				if _, err := h.Store(h.Context(), queue.Item{Event: Event(id, h.Now()), Upstreams: []string{"ehr"}}); err != nil {
					h.Errorf("Store: %v", err)
				}
				if i < 10 {
					continue
				}
				if _, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{fmt.Sprint("other", i-10)}, Force: true}); err != nil {
					h.Errorf("Purge: %v", err)
				}
			}
		})
		defer changes.Wait()
		defer close(done)
		for _, f := range mixedFilters(h) {
			want := []string{}
			for _, r := range all {
				if model.Matches(r, f) {
					want = append(want, r.ID)
				}
			}
			f.Limit = 23
			got := slices.DeleteFunc(h.list(f), func(id string) bool { return strings.HasPrefix(id, "other") })
			if !slices.Equal(got, want) {
				h.Errorf("Events(%+v): %v, want %v", f, got, want)
			}
		}
	}},
}

// storeMixed stores n events in mixed states from several goroutines and returns their
// records, newest first.
func storeMixed(h *harness, n int) []queue.Record {
	h.Helper()
	const writers = 16
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := w; i < n; i += writers {
				e := Event(fmt.Sprint("e", i), h.Now().Add(time.Duration(i%60-60)*time.Minute),
					Subject(fmt.Sprint("note-", i%50)), Type([]string{"note.generated", "note.failed", "other"}[i%3]))
				it := queue.Item{Event: e, Upstreams: [][]string{{"ehr"}, {"ehr"}, {"ehr", "warehouse"}, nil, nil}[i%5]}
				if i%5 == 3 {
					it = asideItem(e, []queue.State{queue.Unrouted, queue.Quarantined, queue.Unconfirmed}[i%3])
				}
				if _, err := h.Store(h.Context(), it); err != nil {
					h.Errorf("Store(%s): %v", e.ID, err)
				}
			}
		})
	}
	wg.Wait()
	for _, d := range h.claim("ehr", n) {
		i := 0
		if _, err := fmt.Sscanf(d.EventID, "e%d", &i); err != nil {
			h.Fatal(err)
		}
		o := queue.Outcome{Delivery: d, At: h.Now(), State: queue.Delivered, Result: queue.Success, Used: true}
		switch i % 4 {
		case 0:
			o.State, o.Result = queue.Dead, queue.Failure
		case 1:
			o.State, o.Result, o.Next = queue.Pending, queue.Failure, h.Now().Add(time.Hour)
		}
		h.Queue.Settle(o)
	}
	h.Flush()
	return allRecords(h, n)
}

// allRecords returns the records of the n events in the store. It checks that each
// event is listed once, and that the events of each writer of storeMixed are in order.
func allRecords(h *harness, n int) (all []queue.Record) {
	h.Helper()
	newest := make(map[int]int) // by writer
	for f := (queue.Filter{Limit: 1000}); ; {
		p, err := h.Events(h.Context(), f)
		if err != nil {
			h.Fatalf("Events: %v", err)
		}
		for _, r := range p.Records {
			i := 0
			if _, err := fmt.Sscanf(r.ID, "e%d", &i); err != nil {
				h.Fatal(err)
			}
			if last, ok := newest[i%16]; ok && last <= i {
				h.Fatalf("e%d is listed after e%d, which was stored before", i, last)
			}
			newest[i%16] = i
		}
		all = append(all, p.Records...)
		if f.Cursor = p.Next; p.Next == "" {
			break
		}
	}
	if len(all) != n {
		h.Fatalf("%d events are listed, want %d", len(all), n)
	}
	return all
}

// mixedFilters returns filters that match many or few of the events of storeMixed.
func mixedFilters(h *harness) []queue.Filter {
	return []queue.Filter{
		{},
		{State: queue.Pending},
		{State: queue.Dead},
		{State: queue.Delivered},
		{State: queue.Unrouted},
		{State: queue.Pending, Upstream: "warehouse"},
		{State: queue.Delivered, Upstream: "ehr"},
		{Upstream: "warehouse"},
		{Subject: "note-7"},
		{Subject: "note-10", State: queue.Dead},
		{Type: "note.failed"},
		{Type: "note.failed", State: queue.Pending, Upstream: "ehr"},
		{Since: h.Now().Add(-10 * time.Minute)},
		{Since: h.Now().Add(-10 * time.Minute), Type: "other", State: queue.Quarantined},
	}
}

// pageWithChanges reads a listing. After each page it stores a new event and purges
// two: the last event of the page and one of a later page.
func pageWithChanges(h *harness, f queue.Filter, prefix string) {
	h.Helper()
	want := h.list(queue.Filter{State: f.State, Upstream: f.Upstream, Subject: f.Subject, Type: f.Type, Since: f.Since, Limit: 1000})
	for n := 0; ; n++ {
		p, err := h.Events(h.Context(), f)
		page := want[:min(f.Limit, len(want))]
		want = want[len(page):]
		same := slices.EqualFunc(p.Records, page, func(r queue.Record, id string) bool { return r.ID == id })
		if err != nil || !same || (p.Next != "") != (len(want) > 0) {
			h.Fatalf("Events(%+v): page %d is %+v, %v; want %v and %d more", f, n, p, err, page, len(want))
		}
		if f.Cursor = p.Next; p.Next == "" {
			return
		}
		if n >= 4 {
			continue
		}
		h.storeItem(queue.Item{
			Event:     Event(fmt.Sprint(prefix, n), h.Now(), Subject("note-7"), Type("note.failed")),
			Upstreams: []string{"ehr", "warehouse"},
		}, false)
		ahead := min(len(want)-1, 2*n)
		purged := []string{page[len(page)-1], want[ahead]}
		want = slices.Delete(want, ahead, ahead+1)
		if n, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: purged, Force: true}); err != nil || n != 2 {
			h.Fatalf("Purge(%v): %d, %v; want 2", purged, n, err)
		}
		if len(want) == 0 {
			p, err := h.Events(h.Context(), f)
			if err != nil || len(p.Records) != 0 || p.Next != "" {
				h.Fatalf("Events(%+v) after the last event was purged: %+v, %v; want none", f, p, err)
			}
			return
		}
	}
}
