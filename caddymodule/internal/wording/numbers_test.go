package wording

import (
	"regexp"
	"testing"
	"time"
)

func TestAge(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 3, 19, 15, 30, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		-time.Hour: "0s", 0: "0s", 999 * time.Millisecond: "0s", 59*time.Second + 999*time.Millisecond: "59s", time.Minute: "1m",
		time.Hour - 1: "59m", time.Hour: "1h", 48*time.Hour - 1: "47h", 48 * time.Hour: "2d", 400 * 24 * time.Hour: "400d",
	} {
		if got := Age(d); got != want {
			t.Errorf("Age(%s) is %s, want %s", d, got, want)
		}
	}
	at := now.Add(-time.Hour)
	if got := Since(&at, now); got != "1h ago" {
		t.Errorf("an hour ago is %q", got)
	}
	ahead := now.Add(90 * time.Second)
	if got := Until(&ahead, now) + Until(&now, now) + Until(&at, now) + Until(nil, now) + Since(nil, now); got != "in 1mduedue--" {
		t.Errorf("times ahead are %q", got)
	}
}

// A time in a table has the offset of its zone, and can be parsed.
func TestClock(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 23, 1, 41, 37, 5000, time.UTC)
	printed := Clock(at)
	if !regexp.MustCompile(`^2026-11-2\d \d\d:\d\d:37(Z|[+-]\d\d:\d\d)$`).MatchString(printed) {
		t.Errorf("printed %q", printed)
	}
	if back, err := time.Parse(ClockLayout, printed); err != nil || !back.Equal(at.Truncate(time.Second)) {
		t.Errorf("%q is read as %s, %v; want %s", printed, back, err, at)
	}
	for zone, want := range map[*time.Location]string{
		time.UTC: "2026-11-23 01:41:37Z", time.FixedZone("IST", 5*3600+1800): "2026-11-23 07:11:37+05:30",
	} {
		if got := at.In(zone).Format(ClockLayout); got != want {
			t.Errorf("in %s: %s, want %s", zone, got, want)
		}
	}
}
