package powercut

import (
	"math/rand/v2"
)

// sectorSize is what a disk writes whole or not at all, in bytes.
const sectorSize = 512

// A Manner says what becomes, in a power cut, of what was not on stable storage
// yet.
type Manner string

// The manners of a power cut.
const (
	Nothing    Manner = "nothing"    // all of it is gone
	Everything Manner = "everything" // all of it is there
	Newest     Manner = "newest"     // only the last change is there
	Ordered    Manner = "ordered"    // the first changes are there, and the next is torn
	Whole      Manner = "whole"      // any of the changes are there, each whole
	Torn       Manner = "torn"       // any of the sectors are there
	Stale      Manner = "stale"      // likewise, and where nothing was stored before is anything
)

// Manners are all there are.
var Manners = []Manner{Nothing, Everything, Newest, Ordered, Whole, Torn, Stale}

// A fate is what becomes of one change.
type fate struct {
	chance float64 // of each of its sectors, or of the whole of what has none, to be there
	grown  float64 // chance of the file to have grown to where the change ends
	stale  bool    // what is not there may be anything
}

var (
	lost = fate{}
	kept = fate{chance: 1, grown: 1}
)

// fates decides about n changes.
func (m Manner) fates(n int, random *rand.Rand) []fate {
	fates := make([]fate, n)
	torn := fate{chance: []float64{0.1, 0.5, 0.9}[random.IntN(3)], grown: 0.8}
	until := random.IntN(n + 1)
	for i := range fates {
		switch m {
		case Nothing:
			fates[i] = lost
		case Everything:
			fates[i] = kept
		case Newest:
			if i == n-1 {
				fates[i] = kept
			}
		case Ordered:
			if i < until {
				fates[i] = kept
			} else if i == until {
				fates[i] = torn
			}
		case Whole:
			if random.Float64() < torn.chance {
				fates[i] = kept
			}
		case Torn:
			fates[i] = torn
		case Stale:
			fates[i] = torn
			fates[i].stale = true
		}
	}
	return fates
}
