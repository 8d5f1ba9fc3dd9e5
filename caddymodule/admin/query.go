package admin

import (
	"regexp"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The number of events in a page.
const (
	DefaultLimit = 100
	MaxLimit     = 1000
)

// The allowed forms of a subject and of a short type.
var (
	SubjectForm = regexp.MustCompile(`^[A-Za-z0-9._:-]{1,128}$`)
	TypeForm    = regexp.MustCompile(`^[A-Za-z0-9._-]{1,64}$`)
)

// CheckState returns an error unless the state exists. An empty state is not a filter.
func CheckState(s queue.State) error {
	if s == "" || slices.Contains(queue.States, s) {
		return nil
	}
	return BadRequest("state %q is unknown; known are: %s", s, strings.Join(StateNames(), ", "))
}

// StateNames returns the names of all states.
func StateNames() []string {
	names := make([]string, len(queue.States))
	for i, s := range queue.States {
		names[i] = string(s)
	}
	return names
}
