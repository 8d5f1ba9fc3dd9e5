package powercut

import (
	"math/rand/v2"
)

// sectorSize is the size in bytes of a unit that a disk writes completely or not at all.
const sectorSize = 512

// A Manner says what happens, in a power cut, to changes that are not on stable storage yet.
type Manner string

// The manners of a power cut.
const (
	Nothing    Manner = "nothing"    // all of them are lost
	Everything Manner = "everything" // all of them are kept
	Newest     Manner = "newest"     // only the last change is kept
	Ordered    Manner = "ordered"    // the first changes are kept, and the next one is torn
	Whole      Manner = "whole"      // any of the changes are kept, each of them whole
	Torn       Manner = "torn"       // any of the sectors are kept
	Stale      Manner = "stale"      // like Torn, and parts of a file that were never stored have any content
)

// Manners are all manners.
var Manners = []Manner{Nothing, Everything, Newest, Ordered, Whole, Torn, Stale}

// A survival says what happens to one change.
type survival struct {
	chance float64 // probability that each of its sectors is kept, or the whole change if it has no sectors
	grown  float64 // probability that the file has grown to the end of the change
	stale  bool    // whether lost sectors may have any content
}

var (
	lost = survival{}
	kept = survival{chance: 1, grown: 1}
)

// survivals returns the survivals of n changes.
func (m Manner) survivals(n int, random *rand.Rand) []survival {
	survivals := make([]survival, n)
	torn := survival{chance: []float64{0.1, 0.5, 0.9}[random.IntN(3)], grown: 0.8}
	until := random.IntN(n + 1)
	for i := range survivals {
		switch m {
		case Nothing:
			survivals[i] = lost
		case Everything:
			survivals[i] = kept
		case Newest:
			if i == n-1 {
				survivals[i] = kept
			}
		case Ordered:
			if i < until {
				survivals[i] = kept
			} else if i == until {
				survivals[i] = torn
			}
		case Whole:
			if random.Float64() < torn.chance {
				survivals[i] = kept
			}
		case Torn:
			survivals[i] = torn
		case Stale:
			survivals[i] = torn
			survivals[i].stale = true
		}
	}
	return survivals
}
