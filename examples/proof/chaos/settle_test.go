package main

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTally(t *testing.T) {
	t.Parallel()
	type events = map[string][]string
	type accepted = map[string]map[string]int
	tests := map[string]struct {
		acknowledged events
		accepted     accepted
		want         result
	}{
		"nothing":               {nil, accepted{"ehr": {}}, result{}},
		"all delivered":         {events{"a": nil, "b": nil}, accepted{"ehr": {"a": 1, "b": 1}, "audit": {"a": 1, "b": 1}}, result{acknowledged: 2, delivered: 2}},
		"one is lost":           {events{"a": nil, "b": nil}, accepted{"ehr": {"a": 1}}, result{acknowledged: 2, delivered: 1, lost: 1}},
		"lost at one of two":    {events{"a": nil}, accepted{"ehr": {"a": 1}, "audit": {}}, result{acknowledged: 1, lost: 1}},
		"lost, another twice":   {events{"a": nil, "b": nil}, accepted{"ehr": {"a": 2}}, result{acknowledged: 2, delivered: 1, lost: 1, duplicated: 1}},
		"duplicated":            {events{"a": nil}, accepted{"ehr": {"a": 3}, "audit": {"a": 2}}, result{acknowledged: 1, delivered: 1, duplicated: 3}},
		"not acknowledged":      {events{"a": nil}, accepted{"ehr": {"a": 1, "b": 2}}, result{acknowledged: 1, delivered: 1, duplicated: 1}},
		"for one upstream only": {events{"a": {"ehr"}}, accepted{"ehr": {"a": 1}, "audit": {}}, result{acknowledged: 1, delivered: 1}},
		"lost at that one":      {events{"a": {"ehr"}}, accepted{"ehr": {}, "audit": {"a": 1}}, result{acknowledged: 1, lost: 1}},
		"for one unknown":       {events{"a": {"warehouse"}}, accepted{"ehr": {"a": 1}}, result{acknowledged: 1, lost: 1}},
		"no backend at all":     {events{"a": nil}, accepted{}, result{acknowledged: 1, lost: 1}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := countEvents(tt.acknowledged, tt.accepted); got != tt.want {
				t.Errorf("countEvents() = %+v, want %+v", got, tt.want)
			}
		})
	}
}

// settle must find events that a gateway acknowledges and then loses.
func TestSettleFindsLostEvents(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		fake *fake
		want result
	}{
		"nothing is lost":         {&fake{}, result{acknowledged: 60, delivered: 60}},
		"every sixth is lost":     {&fake{loseEvery: 6}, result{acknowledged: 60, delivered: 50, lost: 10}},
		"one is lost":             {&fake{loseEvery: 60}, result{acknowledged: 60, delivered: 59, lost: 1}},
		"all are delivered twice": {&fake{twice: true}, result{acknowledged: 60, delivered: 60, duplicated: 120}},
		"rejected at first":       {&fake{status: 503}, result{acknowledged: 60, delivered: 60}},
		"cut at first":            {&fake{status: -1}, result{acknowledged: 60, delivered: 60}},
		"lost after a 503":        {&fake{status: 503, loseEvery: 30}, result{acknowledged: 60, delivered: 58, lost: 2}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r, _ := newFakeRig(t, tt.fake)
			b := newBook()
			f := r.fleet()
			f.senders, f.limit, f.again = 4, 60, true
			f.start(t.Context(), b).done()
			got, err := r.settle(t.Context(), b, 200*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			if got != tt.want {
				t.Errorf("settle() = %+v, want %+v; the others: %s", got, tt.want, b.others())
			}
		})
	}
}

func TestSettleEnds(t *testing.T) {
	t.Parallel()
	missing := func(t *testing.T) (*rig, *book) {
		r, _ := newFakeRig(t, &fake{})
		b := newBook()
		b.acknowledge("missing", nil, false, 0)
		return r, b
	}
	t.Run("the gateway ended", func(t *testing.T) {
		t.Parallel()
		r, b := missing(t)
		close(r.proc.ended)
		row, err := r.settle(t.Context(), b, time.Minute)
		if err == nil || !strings.Contains(err.Error(), "the gateway ended") || row.lost != 1 {
			t.Errorf("settle() = %+v, %v", row, err)
		}
	})
	t.Run("the time is over", func(t *testing.T) {
		t.Parallel()
		r, b := missing(t)
		over := errors.New("the time is over")
		ctx, cancel := context.WithTimeoutCause(t.Context(), 10*time.Millisecond, over)
		defer cancel()
		if row, err := r.settle(ctx, b, time.Minute); !errors.Is(err, over) || row.lost != 1 {
			t.Errorf("settle() = %+v, %v, want %v", row, err, over)
		}
	})
}
