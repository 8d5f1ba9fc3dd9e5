package queue_test

import (
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

func TestAgeClock(t *testing.T) {
	t.Parallel()
	const year = 365 * 24 * time.Hour
	type look struct {
		passed time.Duration // since the previous look
		jump   time.Duration // of the wall clock, during that time
		behind time.Duration // how far the earliest time is then behind the wall clock
		before time.Duration // how far the latest time is then ahead of the wall clock
	}
	tests := map[string]struct {
		off   time.Duration // by the wall clock, since the store was last used
		looks []look
	}{
		"a steady clock":                    {looks: []look{{0, 0, 0, 0}, {time.Second, 0, 0, 0}, {48 * time.Hour, 0, 0, 0}}},
		"a small step":                      {looks: []look{{0, 0, 0, 0}, {time.Second, time.Minute, 0, 0}, {time.Second, -time.Minute, 0, 0}}},
		"a jump that is confirmed":          {looks: []look{{0, 0, 0, 0}, {time.Second, year, year, 0}, {59 * time.Minute, 0, year, 0}, {time.Minute, 0, 0, 0}, {time.Second, 0, 0, 0}}},
		"a jump that is corrected":          {looks: []look{{0, 0, 0, 0}, {time.Second, year, year, 0}, {time.Minute, -year, 0, 0}, {2 * time.Hour, 0, 0, 0}}},
		"a jump that is half corrected":     {looks: []look{{0, 0, 0, 0}, {0, year, year, 0}, {50 * time.Minute, -year / 2, year / 2, 0}, {50 * time.Minute, 0, year / 2, 0}, {10 * time.Minute, 0, 0, 0}}},
		"a jump after another":              {looks: []look{{0, 0, 0, 0}, {0, year, year, 0}, {50 * time.Minute, year, 2 * year, 0}, {50 * time.Minute, 0, 2 * year, 0}, {10 * time.Minute, 0, 0, 0}}},
		"a jump that comes and goes":        {looks: []look{{0, 0, 0, 0}, {0, year, year, 0}, {50 * time.Minute, -year, 0, 0}, {50 * time.Minute, year, year, 0}, {50 * time.Minute, 0, year, 0}}},
		"a jump after hours without a look": {looks: []look{{0, 0, 0, 0}, {5 * time.Hour, year, year, 0}, {time.Hour, 0, 0, 0}}},
		"a jump beyond all durations":       {looks: []look{{0, 0, 0, 0}, {0, 290 * year, 290 * year, 0}, {0, -290 * year, 0, 0}}},
		"set back, then corrected":          {looks: []look{{0, 0, 0, 0}, {0, -year, 0, year}, {time.Minute, year, 0, 0}}},
		"set back for more than an hour":    {looks: []look{{0, 0, 0, 0}, {0, -year, 0, year}, {59 * time.Minute, 0, 0, year}, {time.Minute, 0, 0, 0}, {time.Minute, year, year, 0}, {time.Hour, 0, 0, 0}}},
		"started again at once":             {off: 30 * time.Second, looks: []look{{0, 0, 0, 0}}},
		"started again after a while":       {off: year, looks: []look{{0, 0, year, 0}, {time.Minute, 0, year, 0}, {59 * time.Minute, 0, 0, 0}}},
		"started with a bad clock":          {off: year, looks: []look{{0, 0, year, 0}, {time.Minute, -year + time.Hour, time.Hour, 0}, {time.Hour, 0, 0, 0}}},
		"started with a clock set back":     {off: -year, looks: []look{{0, 0, 0, year}, {time.Minute, year, 0, 0}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			used := time.Date(2026, time.March, 19, 15, 30, 0, 0, time.UTC)
			wall, elapsed := used.Add(tt.off), 7*time.Hour
			c := queue.NewAgeClock(used, elapsed)
			for i, l := range tt.looks {
				wall, elapsed = wall.Add(l.passed+l.jump), elapsed+l.passed
				earliest, latest := c.Now(wall, elapsed)
				if got := wall.Sub(earliest); got != l.behind {
					t.Fatalf("look %d: %s behind the wall clock, want %s", i+1, got, l.behind)
				}
				if got := latest.Sub(wall); got != l.before {
					t.Fatalf("look %d: %s ahead of the wall clock, want %s", i+1, got, l.before)
				}
				if c.Ahead() != l.behind {
					t.Fatalf("look %d: Ahead is %s, want %s", i+1, c.Ahead(), l.behind)
				}
			}
		})
	}
}

// A new store knows no other time than the wall clock's, which may have a monotonic
// reading.
func TestAgeClockOfANewStore(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := queue.NewAgeClock(time.Time{}, 0)
	for _, elapsed := range []time.Duration{0, time.Second} {
		want := now.Round(0).Add(elapsed)
		if earliest, latest := c.Now(now.Add(elapsed), elapsed); earliest != want || latest != want || c.Ahead() != 0 {
			t.Errorf("Now is %s to %s and Ahead is %s, want the wall clock's time", earliest, latest, c.Ahead())
		}
	}
}
