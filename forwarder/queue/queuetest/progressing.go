package queuetest

import (
	"context"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A course is what was told of some work's progress.
type course [][2]int64

// follow returns a course and what writes it down. Each time something is stored,
// as it must be possible while whoever asked for the work is busy with what he was
// told.
func (h *harness) follow() (*course, queue.Progress) {
	c := new(course)
	return c, func(done, total int64) {
		*c = append(*c, [2]int64{done, total})
		ctx, cancel := context.WithTimeout(h.Context(), time.Minute)
		defer cancel()
		it := queue.Item{Event: Event(fmt.Sprint("meanwhile", len(*c)), h.Now()), Upstreams: []string{"ehr"}}
		if _, err := h.Store(ctx, it); err != nil {
			h.Errorf("Store while progress is told: %v", err)
		}
	}
}

// check fails the test unless the course only goes forward, never beyond its
// total, and ends where everything is done.
func (c course) check(h *harness, steps int) {
	h.Helper()
	last := [2]int64{}
	for _, p := range c {
		if p[0] < last[0] || p[0] > p[1] {
			h.Errorf("progress goes from %v to %v", last, p)
		}
		last = p
	}
	if len(c) < steps || last[0] != last[1] || last[0] == 0 {
		h.Errorf("progress %v, want at least %d steps up to the end", c, steps)
	}
}

// killMany stores events and has all of them die.
func (h *harness) killMany(n int) {
	h.Helper()
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint("e", i)
	}
	h.storeMany(ids)
	for _, d := range h.claim("ehr", n) {
		h.Queue.Settle(queue.Outcome{Delivery: d, At: h.Now(), State: queue.Dead, Result: queue.Failure, Used: true})
	}
	h.Flush()
}

var progressing = []testCase{
	{name: "progress: of a replay", test: func(h *harness) {
		const n = 450
		h.killMany(n)
		for _, s := range []queue.ReplaySelection{{Dead: true}, {Since: h.Now()}} {
			told, p := h.follow()
			s.Progress = p
			got, err := h.Replay(h.Context(), s)
			if err != nil || got.Deliveries < n {
				h.Fatalf("Replay: %+v, %v; want %d", got, err, n)
			}
			told.check(h, 3)
			if first := (*told)[0]; first != [2]int64{0, n} && s.Dead {
				h.Errorf("the first that is told is %v, want none of %d", first, n)
			}
		}
	}},
	{name: "progress: of a purge", test: func(h *harness) {
		const n = 450
		h.killMany(n)
		told, p := h.follow()
		if got, err := h.Purge(h.Context(), queue.PurgeSelection{Dead: true, Progress: p}); err != nil || got != n {
			h.Fatalf("Purge: %d, %v; want %d", got, err, n)
		}
		told.check(h, 3)
		if first := (*told)[0]; first != [2]int64{0, n} {
			h.Errorf("the first that is told is %v, want none of %d", first, n)
		}
	}},
	{name: "progress: of what is named", test: func(h *harness) {
		h.killMany(2)
		told, p := h.follow()
		if _, err := h.Replay(h.Context(), queue.ReplaySelection{IDs: []string{"e0", "e1"}, Progress: p}); err != nil {
			h.Fatal(err)
		}
		told.check(h, 1)
		told, p = h.follow()
		if _, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{"e0", "e1"}, Force: true, Progress: p}); err != nil {
			h.Fatal(err)
		}
		told.check(h, 1)
		told, p = h.follow()
		if _, err := h.Purge(h.Context(), queue.PurgeSelection{IDs: []string{"e0"}, Progress: p}); err == nil || len(*told) != 0 {
			h.Errorf("a purge that is refused: %v, told %v", err, *told)
		}
	}},
	{name: "progress: work that is given up has done what was told", test: func(h *harness) {
		const n = 450
		h.killMany(n)
		ctx, cancel := context.WithCancel(h.Context())
		defer cancel()
		var last int64
		_, err := h.Purge(ctx, queue.PurgeSelection{Dead: true, Progress: func(done, _ int64) {
			if last = done; done > 0 {
				cancel()
			}
		}})
		h.wantErr("Purge that is given up", err, context.Canceled)
		if left := int64(len(h.list(queue.Filter{State: queue.Dead, Limit: n}))); last == 0 || last == n || left > n-last {
			h.Errorf("%d of %d were told to be purged, and %d are left", last, n, left)
		}
	}},
	{name: "progress: what goes by itself is left in no total", test: func(h *harness) {
		const n = 250
		h.killMany(n)
		var last [2]int64
		_, err := h.Replay(h.Context(), queue.ReplaySelection{Dead: true, Progress: func(done, total int64) {
			if last = [2]int64{done, total}; done == 0 {
				h.purge(queue.PurgeSelection{IDs: []string{"e0", "e1", "e2"}}, 3)
			}
		}})
		if err != nil || last != [2]int64{n - 3, n - 3} {
			h.Fatalf("Replay: %v, told at last %v, want all of %d", err, last, n-3)
		}
	}},
	{name: "progress: of a compaction", test: func(h *harness) {
		c, ok := h.Queue.(queue.Compacter)
		if !ok {
			h.Log("not tested: this engine has nothing to compact")
			return
		}
		h.killMany(450)
		told, p := h.follow()
		if _, err := c.Compact(h.Context(), p); err != nil {
			h.Fatalf("Compact: %v", err)
		}
		told.check(h, 1)
	}},
}
