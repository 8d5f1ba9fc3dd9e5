package figures

import (
	"cmp"
	"math"
	"math/rand/v2"
	"slices"
)

// quantile returns the smallest of the sorted values for which at least the share q of all values
// is not larger. It returns the zero value if there are no values.
func quantile[T cmp.Ordered](sorted []T, q float64) T {
	if len(sorted) == 0 {
		var none T
		return none
	}
	rank := int(math.Ceil(q * float64(len(sorted))))
	return sorted[min(max(rank, 1), len(sorted))-1]
}

// A Spread is the number, median, minimum and maximum of values.
type Spread struct {
	Number            int
	Median, Low, High float64
}

// SpreadOf returns the spread of values, which is zero if there are none.
func SpreadOf(values []float64) Spread {
	if len(values) == 0 {
		return Spread{}
	}
	sorted := slices.Sorted(slices.Values(values))
	middle := len(sorted) / 2
	median := sorted[middle]
	if len(sorted)%2 == 0 {
		median = (sorted[middle-1] + sorted[middle]) / 2
	}
	return Spread{Number: len(sorted), Median: median, Low: sorted[0], High: sorted[len(sorted)-1]}
}

// Shuffle puts values into random order, so that no contender is always before another.
func Shuffle[T any](all []T) {
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] }) //nolint:gosec // no secret
}
