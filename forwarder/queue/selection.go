package queue

import (
	"fmt"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// A Filter picks events for a listing. All that is set must match.
type Filter struct {
	// State picks the events that are in it or have a delivery in it; "" is any.
	State State

	// Upstream picks the events with a delivery to it; "" is any. Together with
	// State, the delivery must match both.
	Upstream string

	Subject string    // "" is any
	Type    string    // the short type; "" is any
	Since   time.Time // received at or after; zero is any
	Limit   int       // at least 1
	Cursor  string    // a Page's Next; "" begins with the newest
}

// A Page is a part of a listing.
type Page struct {
	Records []Record
	Next    string // the cursor of the next page; "" after the last
}

// A ReplaySelection picks the deliveries of a replay: those of the events that
// are named, those of all events in a state, or those of the events received since
// a time. Exactly one of IDs, State and Since is set.
type ReplaySelection struct {
	IDs       []string
	State     State     // Dead, Unrouted or Unconfirmed
	Since     time.Time // received at or after; never takes events that are set aside
	Upstreams []string  // only deliveries to these; nil is to all
	Progress  Progress  // is called with the events that are done; may be nil

	// Route returns the upstreams that an unrouted or unconfirmed event goes to
	// now. Nil is none.
	Route func(*event.Event) []string
}

// Check returns ErrInvalid unless the selection is of exactly one kind.
func (s ReplaySelection) Check() error {
	switch s.State {
	case "", Dead, Unrouted, Unconfirmed:
	default:
		return fmt.Errorf("%w: events in state %s cannot be replayed by state", ErrInvalid, s.State)
	}
	return exactlyOne(len(s.IDs) > 0, s.State != "", !s.Since.IsZero())
}

// A PurgeSelection picks what a purge deletes: the events that are named, every
// dead delivery, all events that are set aside in a state, or the pending and the
// dead deliveries to an upstream. Exactly one of IDs, State and Upstream is set.
type PurgeSelection struct {
	IDs      []string
	Force    bool  // with IDs: events that still wait for an upstream too
	State    State // Dead, Quarantined, Unrouted or Unconfirmed
	Upstream string
	Before   time.Time // with State: of events received before; zero is all
	DryRun   bool      // nothing is deleted; the answer is what a purge would return now
	Progress Progress  // is called with the events that are done; may be nil
}

// Check returns ErrInvalid unless the selection is of exactly one kind, without
// fields of another kind.
func (s PurgeSelection) Check() error {
	if s.Force && len(s.IDs) == 0 || !s.Before.IsZero() && s.State == "" {
		return fmt.Errorf("%w: force needs ids, and a time needs a state", ErrInvalid)
	}
	if s.State == Pending || s.State == Delivered {
		return fmt.Errorf("%w: events in state %s cannot be purged by state", ErrInvalid, s.State)
	}
	return exactlyOne(len(s.IDs) > 0, s.State != "", s.Upstream != "")
}

func exactlyOne(kinds ...bool) error {
	n := 0
	for _, set := range kinds {
		if set {
			n++
		}
	}
	if n != 1 {
		return fmt.Errorf("%w: select in exactly one way", ErrInvalid)
	}
	return nil
}
