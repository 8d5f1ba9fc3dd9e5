package queuetest

import (
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

var counting = []testCase{
	{name: "stats: what is in the store", test: func(h *harness) {
		h.Advance(time.Minute)
		oldest := h.Now()
		h.store("a", "ehr")
		h.retry(h.claimOne("ehr", "a"), time.Minute)
		h.Advance(time.Second)
		h.store("b", "ehr", "warehouse")
		h.store("c", "ehr")
		h.fail(h.claimed("warehouse", queue.Want{First: 1}).Deliveries[0])
		h.claimed("ehr", queue.Want{First: 1})
		h.setAside("q", queue.Quarantined)
		check := func(inFlight int64) {
			h.Helper()
			s := h.stats()
			want := map[string]queue.UpstreamStats{
				"ehr":       {Pending: 3, InFlight: inFlight, OldestPending: oldest},
				"warehouse": {Dead: 1},
			}
			if fmt.Sprint(s.Upstreams) != fmt.Sprint(want) || s.Quarantined != 1 || s.MaxBytes != h.settings.MaxSize || s.Bytes <= 0 {
				h.Fatalf("stats %+v, want upstreams %+v and one quarantined", s, want)
			}
		}
		check(1)
		before := h.stats().Bytes
		h.reopen()
		check(0)
		if after := h.stats().Bytes; after != before {
			h.Fatalf("%d bytes after reopening, want %d", after, before)
		}
	}},
}
