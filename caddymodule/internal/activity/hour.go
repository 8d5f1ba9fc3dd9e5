package activity

import "time"

// An Hour is what happened at one upstream in the last hour.
type Hour struct {
	// Minutes are the last 60 minutes of the clock, oldest first. The last one is the present
	// minute, which is not over.
	Minutes [60]Minute

	Delivered int           // deliveries that succeeded
	Failed    int           // attempts that failed
	Lag       time.Duration // from receipt to delivery, of the newest delivery; 0 without one
}

// A Minute is what happened at one upstream in one minute.
type Minute struct {
	Delivered int
	Failed    int
}

// A record is the last hour of one upstream.
type record struct {
	minutes [60]Minute    // as in Hour
	newest  int64         // the number of the last minute, counted from 1970
	lag     time.Duration // of the newest delivery
}

// advance makes the minute of a time the last one.
func (r *record) advance(now time.Time) {
	minute := now.Unix() / 60
	ahead := minute - r.newest
	switch {
	case ahead == -1:
		// Another goroutine was faster at the end of a minute. What happened then counts in the
		// next one.
		return
	case ahead < 0:
		// The clock was set back: what was the present minute still is.
	case ahead < int64(len(r.minutes)):
		copy(r.minutes[:], r.minutes[ahead:])
		clear(r.minutes[int64(len(r.minutes))-ahead:])
	default:
		clear(r.minutes[:])
	}
	r.newest = minute
}

// add counts an attempt in the last minute.
func (r *record) add(delivered bool, lag time.Duration) {
	m := &r.minutes[len(r.minutes)-1]
	if !delivered {
		m.Failed++
		return
	}
	m.Delivered++
	r.lag = lag
}

// idle reports whether the hour had no attempt.
func (r *record) idle() bool { return r.minutes == [60]Minute{} }

// hour returns the hour with its sums.
func (r *record) hour() Hour {
	h := Hour{Minutes: r.minutes}
	for _, m := range h.Minutes {
		h.Delivered += m.Delivered
		h.Failed += m.Failed
	}
	if h.Delivered > 0 {
		h.Lag = r.lag
	}
	return h
}
