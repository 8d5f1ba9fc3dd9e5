package load

import (
	"slices"
	"testing"
	"time"
)

func TestJoin(t *testing.T) {
	t.Parallel()
	end := at.Add(time.Second)
	a := worker{begin: at, end: end, statuses: make(map[int]int)}
	b := worker{begin: at, end: end, statuses: make(map[int]int)}
	a.record(answer{status: 200}, at.Add(300*time.Millisecond), 300*time.Millisecond)
	a.record(answer{status: 200, duplicate: true}, end, 700*time.Millisecond)
	b.record(answer{status: 503}, at.Add(1250*time.Millisecond), time.Second)
	got := join([]worker{a, b})
	if got.Answered() != 3 || got.statuses[200] != 2 || got.duplicates != 1 {
		t.Errorf("the totals are %+v", got)
	}
	// Three quarters of the last one's time were before the end.
	if got.inTime != 2.75 || got.lasted != time.Second || got.Rate() != 2.75 {
		t.Errorf("%v in %s, want 2.75 in 1s", got.inTime, got.lasted)
	}
	if want := []time.Duration{300 * time.Millisecond, 700 * time.Millisecond, time.Second}; !slices.Equal(got.Latencies, want) {
		t.Errorf("latencies are %v, want %v", got.Latencies, want)
	}
}

func TestJoinWithoutAnEnd(t *testing.T) {
	t.Parallel()
	p := worker{begin: at, statuses: make(map[int]int)}
	p.record(answer{status: 200}, at.Add(2*time.Second), time.Second)
	if got := join([]worker{p}); got.inTime != 1 || got.lasted != 2*time.Second || got.Rate() != 0.5 {
		t.Errorf("the totals are %+v, want a rate of 0.5", got)
	}
}

// An answer that comes much later than the end counts as answered, but not as in time.
func TestLateAnswers(t *testing.T) {
	t.Parallel()
	p := worker{begin: at, end: at.Add(time.Second), statuses: make(map[int]int)}
	p.record(answer{status: 200}, at.Add(3*time.Second), time.Second)
	if p.inTime != 0 || p.statuses[200] != 1 {
		t.Errorf("%v in time, %d answered", p.inTime, p.statuses[200])
	}
}

func TestOnly(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		totals Totals
		good   bool
	}{
		"all":             {Totals{statuses: map[int]int{200: 5}}, true},
		"none":            {Totals{}, false},
		"another":         {Totals{statuses: map[int]int{200: 5, 503: 1}}, false},
		"a duplicate":     {Totals{statuses: map[int]int{200: 5}, duplicates: 1}, false},
		"all of another":  {Totals{statuses: map[int]int{401: 5}}, false},
		"a broken answer": {Totals{statuses: map[int]int{0: 5}}, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := tt.totals.Only(200); (err == nil) != tt.good {
				t.Errorf("Only() = %v", err)
			}
		})
	}
}

func TestRateOfNothing(t *testing.T) {
	t.Parallel()
	if got := (Totals{}).Rate() + (Totals{}).CountedRate(); got != 0 {
		t.Errorf("the rates are %v", got)
	}
}
