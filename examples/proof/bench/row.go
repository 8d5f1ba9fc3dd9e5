package main

// A row is the result of a line: the ratios of the rounds, and the values that they compare. Without
// a baseline, the ratio is the figure itself.
type row struct {
	line
	ratio, value, base spread
	byCPU              spread // the ratio of the processor times, for a line that compares rates
	failed             int    // rounds without a ratio
}

// row returns the row of a line. It uses only rounds in which everything was measured.
func (o outcomes) row(l line) row {
	r := row{line: l}
	var ratios, values, bases, byCPU []float64
	for round, one := range o[l.of.measurement] {
		base, ok := o.base(l, round)
		if one.err != nil || !ok {
			r.failed++
			continue
		}
		value := l.of.quantity.of(one.sample)
		values = append(values, value)
		if len(l.base) == 0 {
			ratios = append(ratios, value)
			continue
		}
		bases = append(bases, base)
		ratios = append(ratios, value/base)
		if needs := one.sample.processors(); l.of.quantity.name == rate.name && needs > 0 {
			byCPU = append(byCPU, o[l.base[0].measurement][round].sample.processors()/needs)
		}
	}
	r.ratio, r.value, r.base, r.byCPU = spreadOf(ratios), spreadOf(values), spreadOf(bases), spreadOf(byCPU)
	return r
}

// processors returns the processor time per request, of the gateway and of the load generator.
func (s sample) processors() float64 { return s.cpu + s.own }

// base returns the value that a line's figure is compared with in a round.
func (o outcomes) base(l line, round int) (sum float64, ok bool) {
	for _, t := range l.base {
		all := o[t.measurement]
		if round >= len(all) || all[round].err != nil {
			return 0, false
		}
		sum += t.times * t.quantity.of(all[round].sample)
	}
	return sum, len(l.base) == 0 || sum > 0
}

// A verdict says whether a goal was reached.
type verdict string

const (
	met         verdict = "yes"
	missed      verdict = "no"
	noGoal      verdict = ""
	notMeasured verdict = "not measured"
)

// reaches reports whether the median reaches a goal, which is 0 if there is none.
func (r row) reaches(goal float64) verdict {
	switch {
	case goal == 0:
		return noGoal
	case r.ratio.number == 0:
		return notMeasured
	case r.less && r.ratio.median <= goal, !r.less && r.ratio.median >= goal:
		return met
	}
	return missed
}

// showGoal formats a goal of the line.
func (r row) showGoal(goal float64) string {
	switch {
	case goal == 0:
		return "reported"
	case r.less:
		return "≤ " + r.unit(goal)
	}
	return "≥ " + r.unit(goal)
}
