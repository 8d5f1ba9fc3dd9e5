package queuetest

import (
	"context"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A progressLog is the list of reported progress of an operation.
type progressLog [][2]int64

// logProgress returns a log and the Progress that appends to it. Each report stores an
// event, since a queue must accept events during a report.
func (h *harness) logProgress() (*progressLog, queue.Progress) {
	l := new(progressLog)
	return l, func(done, total int64) {
		*l = append(*l, [2]int64{done, total})
		ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
		defer cancel()
		it := queue.Item{Event: Event(fmt.Sprint("meanwhile", len(*l)), h.Now()), Upstreams: []string{"ehr"}}
		if _, err := h.Store(ctx, it); err != nil {
			h.Errorf("Store during a report: %v", err)
		}
	}
}

// check fails the test unless the reports never decrease, never exceed a known total,
// have at least so many steps, and end with the total, which must be at least least.
func (l progressLog) check(h *harness, steps int, least int64) {
	h.Helper()
	last := [2]int64{}
	for _, p := range l {
		if p[0] < last[0] || p[1] != 0 && p[0] > p[1] {
			h.Errorf("the progress changed from %v to %v", last, p)
		}
		last = p
	}
	if len(l) < steps || last[0] != last[1] || last[0] < least {
		h.Errorf("progress %v, want at least %d steps to the total, and a total of at least %d", l, steps, least)
	}
}

var progressing = []testCase{
	{name: "progress: of a replay", test: func(h *harness) {
		const n = 450
		h.storeManyDead(n)
		for _, s := range []queue.ReplaySelection{{State: queue.Dead}, {Since: h.Now()}} {
			reports, p := h.logProgress()
			s.Progress = p
			got, err := h.Replay(h.Context(), s)
			if err != nil || got.Deliveries < n {
				h.Fatalf("Replay: %+v, %v; want %d", got, err, n)
			}
			reports.check(h, 3, n)
		}
	}},
	{name: "progress: of a purge", test: func(h *harness) {
		const n = 450
		h.storeManyDead(n)
		reports, p := h.logProgress()
		if got, err := h.Purge(h.Context(), queue.PurgeSelection{State: queue.Dead, Progress: p}); err != nil || got != n {
			h.Fatalf("Purge: %d, %v; want %d", got, err, n)
		}
		reports.check(h, 3, n)
	}},
	{name: "progress: of events by id", test: func(h *harness) {
		h.storeManyDead(2)
		reports, p := h.logProgress()
		if _, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"e0", "e1"}, Progress: p}); err != nil {
			h.Fatal(err)
		}
		reports.check(h, 1, 2)
		reports, p = h.logProgress()
		if _, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{"e0", "e1"}, Force: true, Progress: p}); err != nil {
			h.Fatal(err)
		}
		reports.check(h, 1, 2)
		reports, p = h.logProgress()
		if _, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{"e0"}, Progress: p}); err == nil || len(*reports) != 0 {
			h.Errorf("a purge returned the error %v and reported %v", err, *reports)
		}
	}},
	{name: "progress: a cancelled operation has done at least the reported amount", test: func(h *harness) {
		const n = 450
		h.storeManyDead(n)
		ctx, cancel := context.WithCancel(h.Context())
		defer cancel()
		var last int64
		_, err := h.Purge(ctx, queue.PurgeSelection{State: queue.Dead, Progress: func(done, _ int64) {
			if last = done; done > 0 {
				cancel()
			}
		}})
		h.wantErr("Purge that is cancelled", err, context.Canceled)
		if left := int64(len(h.list(queue.Filter{State: queue.Dead, Limit: n}))); last == 0 || last == n || left > n-last {
			h.Errorf("%d of %d events were reported as purged, but %d are left", last, n, left)
		}
	}},
	{name: "progress: events that are deleted meanwhile are not in the total", test: func(h *harness) {
		const n = 250
		h.storeManyDead(n)
		var last [2]int64
		purged := false
		_, err := h.Replay(h.Context(), queue.ReplaySelection{State: queue.Dead, Progress: func(done, total int64) {
			last = [2]int64{done, total}
			if !purged {
				purged = true
				h.purge(queue.PurgeSelection{IDs: h.list(queue.Filter{State: queue.Dead, Limit: n})[:3]}, 3) // the newest come last
			}
		}})
		if err != nil || last != [2]int64{n - 3, n - 3} {
			h.Fatalf("Replay: %v, with %v as the last report, want all of %d", err, last, n-3)
		}
	}},
	{name: "progress: of a compaction", test: func(h *harness) {
		c, ok := h.Queue.(queue.Compacter)
		if !h.has(ok, "Compact") {
			return
		}
		h.purge(queue.PurgeSelection{IDs: h.storeManyDead(450)}, 450)
		reports, p := h.logProgress()
		if _, err := c.Compact(h.Context(), p); err != nil {
			h.Fatalf("Compact: %v", err)
		}
		reports.check(h, 1, 0)
	}},
}
