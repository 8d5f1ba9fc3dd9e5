package forwarder

import (
	"slices"

	"github.com/scribegate/scribegate/verifier/event"
)

// AllEvents in a Filter stands for every type, event.Test included.
const AllEvents = "*"

// A Filter picks the events that an upstream receives, by their short types. An
// empty one picks all but event.Test.
type Filter []string

// Match reports whether events of the short type are picked.
func (f Filter) Match(shortType string) bool {
	if len(f) == 0 {
		return shortType != event.Test
	}
	return slices.Contains(f, shortType) || slices.Contains(f, AllEvents)
}
