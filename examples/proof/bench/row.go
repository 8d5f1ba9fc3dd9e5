package main

// A row is what came of a line: the ratio of each round, and what it is of. A
// line that stands for itself has its figure for the ratio.
type row struct {
	line
	ratio, value, base spread
	byCPU              spread // of rates: what the processor time alone would allow
	failed             int    // rounds without a ratio
}

// row makes a line's row. A round counts only where everything was measured.
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

// processors is the processor time that a request takes of the machine, on both
// ends.
func (s sample) processors() float64 { return s.cpu + s.own }

// base is what a line's figure is held against in a round.
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

// A verdict is whether something was reached.
type verdict string

const (
	met      verdict = "yes"
	missed   verdict = "no"
	unasked  verdict = ""
	unproved verdict = "not measured"
)

// reaches says whether the median reaches what is asked, which may be nothing.
func (r row) reaches(asked float64) verdict {
	switch {
	case asked == 0:
		return unasked
	case r.ratio.number == 0:
		return unproved
	case r.less && r.ratio.median <= asked, !r.less && r.ratio.median >= asked:
		return met
	}
	return missed
}

// asks writes what is asked of a line.
func (r row) asks(asked float64) string {
	switch {
	case asked == 0:
		return "reported"
	case r.less:
		return "≤ " + r.unit(asked)
	}
	return "≥ " + r.unit(asked)
}
