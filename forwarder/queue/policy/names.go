package policy

import (
	"fmt"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The maximum lengths of names in bytes.
const (
	maxID       = 1024
	maxUpstream = 255
	maxStage    = 8192 // which contains a URI
)

// CheckNames returns an error for an item whose names are too long for a row.
func CheckNames(it queue.Item) error {
	if it.Event.ID == "" || len(it.Event.ID) > maxID {
		return fmt.Errorf("the id has %d bytes; it may have 1 to %d", len(it.Event.ID), maxID)
	}
	for _, name := range it.Upstreams {
		limit := maxUpstream
		if queue.IsStage(name) {
			limit = maxStage
		}
		if name == "" || len(name) > limit {
			return fmt.Errorf("the name of upstream %q has %d bytes; it may have 1 to %d", name, len(name), limit)
		}
	}
	return nil
}
