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
		passed time.Duration // since the look before
		jump   time.Duration // of the wall clock, meanwhile
		behind time.Duration // how far the earliest time is behind the wall clock then
		before time.Duration // how far the latest is before it
	}
	tests := map[string]struct {
		off   time.Duration // by the wall clock, since the store was last used
		looks []look
	}{
		"a clock that goes":              {looks: []look{{0, 0, 0, 0}, {time.Second, 0, 0, 0}, {48 * time.Hour, 0, 0, 0}}},
		"a small step":                   {looks: []look{{0, 0, 0, 0}, {time.Second, time.Minute, 0, 0}, {time.Second, -time.Minute, 0, 0}}},
		"a jump that is confirmed":       {looks: []look{{0, 0, 0, 0}, {time.Second, year, year, 0}, {59 * time.Minute, 0, year, 0}, {time.Minute, 0, 0, 0}, {time.Second, 0, 0, 0}}},
		"a jump that is set right":       {looks: []look{{0, 0, 0, 0}, {time.Second, year, year, 0}, {time.Minute, -year, 0, 0}, {2 * time.Hour, 0, 0, 0}}},
		"a jump that is set half right":  {looks: []look{{0, 0, 0, 0}, {0, year, year, 0}, {50 * time.Minute, -year / 2, year / 2, 0}, {50 * time.Minute, 0, year / 2, 0}, {10 * time.Minute, 0, 0, 0}}},
		"a jump after another":           {looks: []look{{0, 0, 0, 0}, {0, year, year, 0}, {50 * time.Minute, year, 2 * year, 0}, {50 * time.Minute, 0, 2 * year, 0}, {10 * time.Minute, 0, 0, 0}}},
		"a jump that comes and goes":     {looks: []look{{0, 0, 0, 0}, {0, year, year, 0}, {50 * time.Minute, -year, 0, 0}, {50 * time.Minute, year, year, 0}, {50 * time.Minute, 0, year, 0}}},
		"one that long nobody looked at": {looks: []look{{0, 0, 0, 0}, {5 * time.Hour, year, year, 0}, {time.Hour, 0, 0, 0}}},
		"a jump beyond all durations":    {looks: []look{{0, 0, 0, 0}, {0, 290 * year, 290 * year, 0}, {0, -290 * year, 0, 0}}},
		"set back, and right again":      {looks: []look{{0, 0, 0, 0}, {0, -year, 0, year}, {time.Minute, year, 0, 0}}},
		"set back for long":              {looks: []look{{0, 0, 0, 0}, {0, -year, 0, year}, {59 * time.Minute, 0, 0, year}, {time.Minute, 0, 0, 0}, {time.Minute, year, year, 0}, {time.Hour, 0, 0, 0}}},
		"started again at once":          {off: 30 * time.Second, looks: []look{{0, 0, 0, 0}}},
		"started again after a while":    {off: year, looks: []look{{0, 0, year, 0}, {time.Minute, 0, year, 0}, {59 * time.Minute, 0, 0, 0}}},
		"started with a bad clock":       {off: year, looks: []look{{0, 0, year, 0}, {time.Minute, -year + time.Hour, time.Hour, 0}, {time.Hour, 0, 0, 0}}},
		"started with a clock set back":  {off: -year, looks: []look{{0, 0, 0, year}, {time.Minute, year, 0, 0}}},
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
					t.Fatalf("look %d: %s before the wall clock, want %s", i+1, got, l.before)
				}
				if c.Ahead() != l.behind {
					t.Fatalf("look %d: Ahead is %s, want %s", i+1, c.Ahead(), l.behind)
				}
			}
		})
	}
}

// A store that was never used knows of no other time than the wall clock's, which
// may have a monotonic reading.
func TestAgeClockOfANewStore(t *testing.T) {
	t.Parallel()
	now := time.Now()
	c := queue.NewAgeClock(time.Time{}, 0)
	for _, elapsed := range []time.Duration{0, time.Second} {
		want := now.Round(0).Add(elapsed)
		if earliest, latest := c.Now(now.Add(elapsed), elapsed); earliest != want || latest != want || c.Ahead() != 0 {
			t.Errorf("%s to %s, %s ahead, want what the wall clock shows", earliest, latest, c.Ahead())
		}
	}
}
