package powercut

import (
	"maps"
	"math/rand/v2"
	"slices"
)

// A Cut is a power cut at a moment of a recording.
type Cut struct {
	At     int
	Manner Manner
	Seed   uint64 // of the random decisions
}

// vicinity is the number of moments before and after a change of names that are cut in every manner.
const vicinity = 3

// moments returns the moments at which a change, a sync or an answer starts or ends.
func (r *Recording) moments() []int {
	at := make(map[int]struct{})
	for i := range r.Ops {
		at[r.Ops[i].Start], at[r.Ops[i].End] = struct{}{}, struct{}{}
	}
	for _, s := range r.Syncs {
		at[s.Start], at[s.End] = struct{}{}, struct{}{}
	}
	for _, a := range r.Answers {
		at[a.At] = struct{}{}
	}
	return slices.Sorted(maps.Keys(at))
}

// Exhaust returns a cut in every manner at every moment, n times if the manner is random, and many times more around
// each change of names, since only a few moments make or replace a file.
func (r *Recording) Exhaust(n int, random *rand.Rand) []Cut {
	const many = 8
	near := r.near()
	var cuts []Cut
	for _, at := range r.moments() {
		times := n
		if near[at] {
			times *= many
		}
		cuts = everyManner(cuts, at, times, random)
	}
	return cuts
}

// near returns the moments near a change of names.
func (r *Recording) near() map[int]bool {
	moments := r.moments()
	near := make(map[int]bool)
	for i := range r.Ops {
		o := &r.Ops[i]
		if o.Kind == Write || o.Kind == Truncate {
			continue
		}
		first, _ := slices.BinarySearch(moments, o.Start)
		last, _ := slices.BinarySearch(moments, o.End)
		for k := max(0, first-vicinity); k <= min(len(moments)-1, last+vicinity); k++ {
			near[moments[k]] = true
		}
	}
	return near
}

func everyManner(cuts []Cut, at, n int, random *rand.Rand) []Cut {
	for _, m := range Manners {
		times := n
		if m == Nothing || m == Everything || m == Newest {
			times = 1
		}
		for range times {
			cuts = append(cuts, Cut{At: at, Manner: m, Seed: random.Uint64()})
		}
	}
	return cuts
}

// Sample returns at least n cuts: one in every manner at each moment near a change of names, since these are few and
// the most important, and the others at random moments.
func (r *Recording) Sample(n int, random *rand.Rand) []Cut {
	moments := r.moments()
	var cuts []Cut
	for _, at := range slices.Sorted(maps.Keys(r.near())) {
		cuts = everyManner(cuts, at, 1, random)
	}
	for len(cuts) < n {
		cuts = append(cuts, Cut{
			At:     moments[random.IntN(len(moments))],
			Manner: Manners[random.IntN(len(Manners))],
			Seed:   random.Uint64(),
		})
	}
	return cuts
}
