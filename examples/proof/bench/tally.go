package main

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A tally is what came of a volley.
type tally struct {
	statuses   map[int]int // of every answer, those after the end included
	duplicates int         // answers that said so

	inTime    float64 // answers before the end, and the parts of later ones that were
	lasted    time.Duration
	latencies []time.Duration // of every answer, sorted

	counted    int64 // by the volley's count
	countedFor time.Duration
}

// answered is how many requests were answered, which is how many were sent.
func (t tally) answered() (n int) {
	for _, m := range t.statuses {
		n += m
	}
	return n
}

// rate is how many were answered in a second.
func (t tally) rate() float64 { return perSecond(t.inTime, t.lasted) }

// countedRate is how many were counted in a second.
func (t tally) countedRate() float64 { return perSecond(float64(t.counted), t.countedFor) }

func perSecond(n float64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return n / d.Seconds()
}

// only is an error where there were answers with another status, or of a duplicate,
// or none.
func (t tally) only(status int) error {
	n := t.answered()
	if n == 0 {
		return errors.New("no request was answered")
	}
	if t.statuses[status] != n || t.duplicates > 0 {
		return fmt.Errorf("%d requests should all have been answered with %d, as new: the answers were %v, and %d of them said that it is a duplicate", n, status, t.statuses, t.duplicates)
	}
	return nil
}

// join makes one tally of all connections'.
func join(parts []part) tally {
	t := tally{statuses: make(map[int]int)}
	var last time.Time
	for i := range parts {
		p := &parts[i]
		for status, n := range p.statuses {
			t.statuses[status] += n
		}
		t.duplicates += p.duplicates
		t.inTime += p.inTime
		t.latencies = append(t.latencies, p.latencies...)
		if p.last.After(last) {
			last = p.last
		}
		if t.lasted = last.Sub(p.begin); !p.end.IsZero() {
			t.lasted = min(t.lasted, p.end.Sub(p.begin))
		}
	}
	slices.Sort(t.latencies)
	return t
}
