package figures

import (
	"errors"
	"testing"
)

var errTest = errors.New("it broke")

// ran are the outcomes of three rounds, in the second of which a baseline broke.
func ran() Outcomes {
	return Outcomes{
		"respond":   {{Sample: Sample{Rate: 100}}, {Err: errTest}, {Sample: Sample{Rate: 400}}},
		"accept":    {{Sample: Sample{Rate: 50, P50: 0.003}}, {Sample: Sample{Rate: 70}}, {Sample: Sample{Rate: 100}}},
		"fdatasync": {{Sample: Sample{P50: 0.001}}},
		"respond-1": {{Sample: Sample{P50: 0.0005}}},
		"broken":    {{Err: errTest}},
		"start":     {{Sample: Sample{Took: 3}}, {Sample: Sample{Took: 1}}},
	}
}

func TestRow(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		line        Line
		ratio, base Spread
	}{
		"a ratio is one round's": {
			Line{Of: Figure{"accept", Rate}, Base: Once("respond", Rate)},
			Spread{2, 0.375, 0.25, 0.5},
			Spread{2, 250, 100, 400},
		},
		"against a sum": {
			Line{Of: Figure{"accept", P50}, Base: []Term{{2, Figure{"fdatasync", P50}}, {1, Figure{"respond-1", P50}}}},
			Spread{1, 1.2, 1.2, 1.2},
			Spread{1, 0.0025, 0.0025, 0.0025},
		},
		"against a sum in part": {
			Line{Of: Figure{"accept", P50}, Base: []Term{{2, Figure{"fdatasync", P50}}, {1, Figure{"broken", P50}}}},
			Spread{},
			Spread{},
		},
		"by itself":      {Line{Of: Figure{"start", Took}}, Spread{2, 2, 1, 3}, Spread{}},
		"never measured": {Line{Of: Figure{"other", Rate}, Base: Once("respond", Rate)}, Spread{}, Spread{}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := ran().Row(tt.line)
			if got.Ratio != tt.ratio || got.Base != tt.base {
				t.Errorf("Row() = %+v of %+v, want %+v of %+v", got.Ratio, got.Base, tt.ratio, tt.base)
			}
		})
	}
}

func TestReaches(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		median, asked float64
		number        int
		less          bool
		want          Verdict
	}{
		"more":                 {0.7, 0.6, 1, false, Met},
		"exactly":              {0.6, 0.6, 1, false, Met},
		"too little":           {0.59, 0.6, 1, false, Missed},
		"less":                 {1.1, 1.3, 1, true, Met},
		"exactly the maximum":  {1.3, 1.3, 1, true, Met},
		"too much":             {1.31, 1.3, 1, true, Missed},
		"no goal":              {5, 0, 1, false, NoGoal},
		"nothing was measured": {0, 1.3, 0, true, NotMeasured},
		"neither":              {0, 0, 0, true, NoGoal},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := Row{Line: Line{Less: tt.less}, Ratio: Spread{Number: tt.number, Median: tt.median}}
			if got := r.Reaches(tt.asked); got != tt.want {
				t.Errorf("Reaches() = %q, want %q", got, tt.want)
			}
		})
	}
}

func TestByCPU(t *testing.T) {
	t.Parallel()
	all := Outcomes{
		"respond": {{Sample: Sample{Rate: 100, CPU: 30e-6, Own: 10e-6}}},
		"accept":  {{Sample: Sample{Rate: 10, CPU: 60e-6, Own: 20e-6, P50: 1}}},
		"drain":   {{Sample: Sample{Rate: 10}}},
	}
	if got := all.Row(Line{Of: Figure{"accept", Rate}, Base: Once("respond", Rate)}).ByCPU; got.Number != 1 || got.Median != 0.5 {
		t.Errorf("by CPU it is %+v, want 0.5", got)
	}
	for _, l := range []Line{
		{Of: Figure{"accept", CPU}, Base: Once("respond", CPU)}, // no rate
		{Of: Figure{"drain", Rate}, Base: Once("respond", Rate)},
	} {
		if got := all.Row(l).ByCPU; got.Number != 0 {
			t.Errorf("%s has %+v by CPU", l.Of.Measurement, got)
		}
	}
}
