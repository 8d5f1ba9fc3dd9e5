package caddymodule

import (
	"fmt"
	"time"
)

// age is a length of time in a few columns: its largest unit, rounded down.
func age(d time.Duration) string {
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

// since tells how long ago a time was that may not have been.
func since(at *time.Time, now time.Time) string {
	if at == nil || at.IsZero() {
		return "-"
	}
	return age(now.Sub(*at)) + " ago"
}

// until tells how far ahead a time is that may not come. One that has come may wait
// for other reasons still.
func until(at *time.Time, now time.Time) string {
	switch {
	case at == nil || at.IsZero():
		return "-"
	case !at.After(now):
		return "due"
	}
	return "in " + age(at.Sub(now))
}

// clockLayout says by its offset which zone a time is in: where the command runs may
// be another one than where its output is read.
const clockLayout = "2006-01-02 15:04:05Z07:00"

// clock is a time of day where the command runs.
func clock(at time.Time) string { return at.Local().Format(clockLayout) }
