package figures

// A Row is the result of a line: the ratios of the rounds, and the values that they compare. Without
// a baseline, the ratio is the figure itself.
type Row struct {
	Line
	Ratio, Value, Base Spread
	ByCPU              Spread // the ratio of the processor times, for a line that compares rates
}

// Row returns the row of a line. It uses only rounds in which everything was measured.
func (o Outcomes) Row(l Line) Row {
	r := Row{Line: l}
	var ratios, values, bases, byCPU []float64
	for round, one := range o[l.Of.Measurement] {
		base, ok := o.base(l, round)
		if one.Err != nil || !ok {
			continue
		}
		value := l.Of.Quantity.of(one.Sample)
		values = append(values, value)
		if len(l.Base) == 0 {
			ratios = append(ratios, value)
			continue
		}
		bases = append(bases, base)
		ratios = append(ratios, value/base)
		if needs := one.Sample.processors(); l.Of.Quantity.name == Rate.name && needs > 0 {
			byCPU = append(byCPU, o[l.Base[0].Measurement][round].Sample.processors()/needs)
		}
	}
	r.Ratio, r.Value, r.Base, r.ByCPU = SpreadOf(ratios), SpreadOf(values), SpreadOf(bases), SpreadOf(byCPU)
	return r
}

// base returns the value that a line's figure is compared with in a round.
func (o Outcomes) base(l Line, round int) (sum float64, ok bool) {
	for _, t := range l.Base {
		all := o[t.Measurement]
		if round >= len(all) || all[round].Err != nil {
			return 0, false
		}
		sum += t.Times * t.Quantity.of(all[round].Sample)
	}
	return sum, len(l.Base) == 0 || sum > 0
}

// A Verdict says whether a goal was reached.
type Verdict string

// The verdicts.
const (
	Met         Verdict = "yes"
	Missed      Verdict = "no"
	NoGoal      Verdict = ""
	NotMeasured Verdict = "not measured"
)

// Reaches reports whether the median reaches a goal, which is 0 if there is none.
func (r Row) Reaches(goal float64) Verdict {
	switch {
	case goal == 0:
		return NoGoal
	case r.Ratio.Number == 0:
		return NotMeasured
	case r.Less && r.Ratio.Median <= goal, !r.Less && r.Ratio.Median >= goal:
		return Met
	}
	return Missed
}

// ShowGoal formats a goal of the line.
func (r Row) ShowGoal(goal float64) string {
	switch {
	case goal == 0:
		return "reported"
	case r.Less:
		return "≤ " + r.Unit(goal)
	}
	return "≥ " + r.Unit(goal)
}
