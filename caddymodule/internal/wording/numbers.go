package wording

import (
	"fmt"
	"strings"
	"time"

	"github.com/dustin/go-humanize"
)

// Counted returns a number of things in words.
func Counted(n int, thing string) string {
	stem, y := strings.CutSuffix(thing, "y")
	switch {
	case n == 1:
	case y:
		thing = stem + "ies"
	default:
		thing += "s"
	}
	return humanize.Comma(int64(n)) + " " + thing
}

// Size returns a number of bytes in words.
func Size(n int64) string { return humanize.IBytes(uint64(max(0, n))) } // not below zero

// Age returns a duration in its largest unit, rounded down, as in "3m". humanize has only
// the longer "3 minutes ago", which is too wide for a table.
func Age(d time.Duration) string {
	switch {
	case d < time.Second:
		return "0s"
	case d < time.Minute:
		return fmt.Sprintf("%ds", d/time.Second)
	case d < time.Hour:
		return fmt.Sprintf("%dm", d/time.Minute)
	case d < 48*time.Hour:
		return fmt.Sprintf("%dh", d/time.Hour)
	}
	return fmt.Sprintf("%dd", d/(24*time.Hour))
}

// Since returns how long ago a time was, or "-" if it is not known.
func Since(at *time.Time, now time.Time) string {
	if at == nil || at.IsZero() {
		return "-"
	}
	return Age(now.Sub(*at)) + " ago"
}

// Until returns how far ahead a time is, "due" if it has passed, or "-" if it is not known.
// A delivery that is due may wait for other reasons.
func Until(at *time.Time, now time.Time) string {
	switch {
	case at == nil || at.IsZero():
		return "-"
	case !at.After(now):
		return "due"
	}
	return "in " + Age(at.Sub(now))
}

// ClockLayout is the layout of Clock. It has the offset of the time zone: a reader of the
// output may be in another zone than the process.
const ClockLayout = "2006-01-02 15:04:05Z07:00"

// Clock returns a time in the time zone of the process.
func Clock(at time.Time) string { return at.Local().Format(ClockLayout) }
