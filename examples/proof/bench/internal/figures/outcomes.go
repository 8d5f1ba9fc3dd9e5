package figures

import (
	"errors"
	"fmt"
	"slices"
)

// An Outcome is a sample or an error.
type Outcome struct {
	Sample Sample
	Err    error
}

// Outcomes are the outcomes of all rounds, by the name of the measurement.
type Outcomes map[string][]Outcome

// Failures returns the errors of all outcomes.
func (o Outcomes) Failures() error {
	var all []error
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for i, one := range o[name] {
			if one.Err != nil {
				all = append(all, fmt.Errorf("%s, round %d: %w", name, i+1, one.Err))
			}
		}
	}
	return errors.Join(all...)
}

// Samples returns the samples of a measurement, of the rounds that did not fail.
func (o Outcomes) Samples(name string) (all []Sample) {
	for _, one := range o[name] {
		if one.Err == nil {
			all = append(all, one.Sample)
		}
	}
	return all
}

// MedianOf returns the median of a quantity of samples.
func MedianOf(samples []Sample, q Quantity) float64 { return SpreadOf(ValuesOf(samples, q)).Median }

// ValuesOf returns the values of a quantity of samples.
func ValuesOf(samples []Sample, q Quantity) []float64 {
	values := make([]float64, 0, len(samples))
	for _, s := range samples {
		values = append(values, q.of(s))
	}
	return values
}

// Times returns the ratios of a figure to the same figure of other, for the rounds in which both were
// measured.
func (o Outcomes) Times(other Outcomes, f Figure) Spread {
	var all []float64
	for round, a := range o[f.Measurement] {
		if round >= len(other[f.Measurement]) {
			break
		}
		b := other[f.Measurement][round]
		if base := f.Quantity.of(b.Sample); a.Err == nil && b.Err == nil && base != 0 {
			all = append(all, f.Quantity.of(a.Sample)/base)
		}
	}
	return SpreadOf(all)
}
