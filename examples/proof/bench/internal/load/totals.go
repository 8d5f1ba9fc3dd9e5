package load

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Totals is the result of a phase.
type Totals struct {
	statuses   map[int]int // number of answers by status, including those after the end
	duplicates int         // number of answers that say duplicate

	inTime    float64 // number of answers before the end, with the parts of later ones
	lasted    time.Duration
	Latencies []time.Duration // of all answers, sorted

	counted    int64 // with the phase's count
	countedFor time.Duration
}

// Answered returns the number of answered requests, which is the number of sent requests.
func (t Totals) Answered() (n int) {
	for _, m := range t.statuses {
		n += m
	}
	return n
}

// Rate returns the number of answers per second.
func (t Totals) Rate() float64 { return PerSecond(t.inTime, t.lasted) }

// CountedRate returns the counted number per second.
func (t Totals) CountedRate() float64 { return PerSecond(float64(t.counted), t.countedFor) }

// PerSecond returns n per second of d, or 0 if d is not positive.
func PerSecond(n float64, d time.Duration) float64 {
	if d <= 0 {
		return 0
	}
	return n / d.Seconds()
}

// Only returns an error if an answer had another status or was for a duplicate, or if there was none.
func (t Totals) Only(status int) error {
	n := t.Answered()
	if n == 0 {
		return errors.New("no request was answered")
	}
	if t.statuses[status] != n || t.duplicates > 0 {
		return fmt.Errorf("of %d answers all should have the status %d: the statuses are %v, and %d answers are for duplicates", n, status, t.statuses, t.duplicates)
	}
	return nil
}

// join returns the totals of all workers.
func join(parts []worker) Totals {
	t := Totals{statuses: make(map[int]int)}
	var last time.Time
	for i := range parts {
		p := &parts[i]
		for status, n := range p.statuses {
			t.statuses[status] += n
		}
		t.duplicates += p.duplicates
		t.inTime += p.inTime
		t.Latencies = append(t.Latencies, p.latencies...)
		if p.last.After(last) {
			last = p.last
		}
		if t.lasted = last.Sub(p.begin); !p.end.IsZero() {
			t.lasted = min(t.lasted, p.end.Sub(p.begin))
		}
	}
	slices.Sort(t.Latencies)
	return t
}
