package main

import (
	"slices"
	"testing"
	"time"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	end := at.Add(time.Second)
	a := part{begin: at, end: end, statuses: make(map[int]int)}
	b := part{begin: at, end: end, statuses: make(map[int]int)}
	a.note(answer{status: 200}, at.Add(300*time.Millisecond), 300*time.Millisecond)
	a.note(answer{status: 200, duplicate: true}, end, 700*time.Millisecond)
	b.note(answer{status: 503}, at.Add(1250*time.Millisecond), time.Second)
	got := join([]part{a, b})
	if got.answered() != 3 || got.statuses[200] != 2 || got.duplicates != 1 {
		t.Errorf("the tally is %+v", got)
	}
	// Three quarters of the last one's time were before the end.
	if got.inTime != 2.75 || got.lasted != time.Second || got.rate() != 2.75 {
		t.Errorf("%v in %s, want 2.75 in 1s", got.inTime, got.lasted)
	}
	if want := []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, time.Second}; !slices.Equal(got.latencies, want) {
		t.Errorf("latencies are %v, want %v", got.latencies, want)
	}
}

func TestJoinWithoutAnEnd(t *testing.T) {
	t.Parallel()
	p := part{begin: at, statuses: make(map[int]int)}
	p.note(answer{status: 200}, at.Add(2*time.Second), time.Second)
	if got := join([]part{p}); got.inTime != 1 || got.lasted != 2*time.Second || got.rate() != 0.5 {
		t.Errorf("the tally is %+v, want a rate of 0.5", got)
	}
}

// What came a whole answer's time too late was sent before the end all the same.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	p := part{begin: at, end: at.Add(time.Second), statuses: make(map[int]int)}
	p.note(answer{status: 200}, at.Add(3*time.Second), time.Second)
	if p.inTime != 0 || p.statuses[200] != 1 {
		t.Errorf("%v in time, %d answered", p.inTime, p.statuses[200])
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		tally tally
		good  bool
	}{
		"all":             {tally{statuses: map[int]int{200: 5}}, true},
		"none":            {tally{}, false},
		"another":         {tally{statuses: map[int]int{200: 5, 503: 1}}, false},
		"a duplicate":     {tally{statuses: map[int]int{200: 5}, duplicates: 1}, false},
		"all of another":  {tally{statuses: map[int]int{401: 5}}, false},
		"a broken answer": {tally{statuses: map[int]int{0: 5}}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tt.tally.only(200); (err == nil) != tt.good {
				t.Errorf("only() = %v", err)
			}
		})
	}
}

func TestRateOfNothing(t *testing.T) {
	t.Parallel()
	if got := (tally{}).rate() + (tally{}).countedRate(); got != 0 {
		t.Errorf("the rates are %v", got)
	}
}
