package postgresqueue

import (
	"testing"
	"time"
)

// A count that takes long is made in the background only, and for a small part of the time.
func TestSlowCounts(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		at     time.Duration // ago; 0 is never
		took   time.Duration
		rows   int64
		recent bool
		stale  bool
	}{
		"never counted":                  {stale: true},
		"a small store":                  {at: time.Minute, took: time.Millisecond, rows: 10},
		"a large store":                  {at: time.Second, took: 100 * time.Millisecond, rows: 100_000, recent: true},
		"a large store, some time ago":   {at: 3 * time.Second, took: 100 * time.Millisecond, rows: 100_000},
		"a slow count":                   {at: 10 * time.Second, took: time.Second, rows: 10_000_000, recent: true},
		"a slow count, some time ago":    {at: 21 * time.Second, took: time.Second, rows: 10_000_000, recent: true, stale: true},
		"a slow count of a small result": {at: 21 * time.Second, took: time.Second, rows: 10, stale: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			counted := totals{took: c.took, last: counts{rows: c.rows}}
			if c.at > 0 {
				counted.at = time.Now().Add(-c.at)
			}
			if _, recent := counted.recent(); recent != c.recent {
				t.Errorf("recent is %t", recent)
			}
			if stale := counted.stale(); stale != c.stale {
				t.Errorf("stale is %t", stale)
			}
		})
	}
}
