package boltqueue

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// BenchmarkEventsPage reads a page of a hundred out of a million events: the
// newest of many, those behind all others, and few that lie far apart.
func BenchmarkEventsPage(b *testing.B) {
	const events = 1_000_000
	// Each event is for ehr; one in a thousand has been delivered to audit as
	// well, and five in all to rare.
	type listing struct {
		name   string
		filter queue.Filter
	}
	middle := fmt.Sprint(events / 2)
	for _, store := range []struct {
		name      string
		delivered int // to ehr: the first so many
		listings  []listing
	}{
		{"backlog", 10, []listing{
			{"newest", queue.Filter{}},
			{"pending", queue.Filter{State: queue.Pending, Upstream: "ehr"}},
			{"delivered before all that are pending", queue.Filter{State: queue.Delivered, Upstream: "ehr"}},
			{"five of all", queue.Filter{Upstream: "rare"}},
			{"one in a thousand", queue.Filter{State: queue.Delivered, Upstream: "audit"}},
			{"one in a thousand, from the middle", queue.Filter{State: queue.Delivered, Upstream: "audit", Cursor: middle}},
			{"none", queue.Filter{State: queue.Delivered, Upstream: "nobody"}},
		}},
		{"history", events, []listing{
			{"newest", queue.Filter{}},
			{"pending", queue.Filter{State: queue.Pending}},
			{"delivered", queue.Filter{State: queue.Delivered}},
			{"delivered, from the middle", queue.Filter{State: queue.Delivered, Upstream: "ehr", Cursor: middle}},
			{"of an upstream", queue.Filter{Upstream: "ehr"}},
			{"five of all", queue.Filter{Upstream: "rare"}},
			{"one in a thousand", queue.Filter{State: queue.Delivered, Upstream: "audit"}},
			{"none", queue.Filter{Upstream: "nobody"}},
		}},
	} {
		b.Run(store.name, func(b *testing.B) {
			q := mustOpen(b, Options{Path: filepath.Join(b.TempDir(), "queue.db"), Settings: queue.DefaultSettings()})
			fill(b, q, events, func(i int) map[string]queue.State {
				to := map[string]queue.State{"ehr": queue.Pending}
				if i < store.delivered {
					to["ehr"] = queue.Delivered
				}
				if i%1000 == 500 {
					to["audit"] = queue.Delivered
				}
				if i%200_000 == 100_000 {
					to["rare"] = queue.Delivered
				}
				return to
			})
			for _, l := range store.listings {
				l.filter.Limit = 100
				b.Run(l.name, func(b *testing.B) {
					b.ReportAllocs()
					for b.Loop() {
						if _, err := q.Events(b.Context(), l.filter); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
		})
	}
}
