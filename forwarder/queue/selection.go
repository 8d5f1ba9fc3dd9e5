package queue

import (
	"fmt"
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// A Filter selects events for a listing. An event must match all fields that are set.
type Filter struct {
	// State selects the events that are in it or have a delivery in it; "" matches all.
	State State

	// Upstream selects the events with a delivery to it; "" matches all. If State is
	// set too, one delivery must match both.
	Upstream string

	Subject string    // "" matches all
	Type    string    // the short type; "" matches all
	Since   time.Time // received at or after; zero matches all
	Limit   int       // at least 1
	Cursor  string    // a Page's Next; "" starts with the newest event
}

// A Page is one page of a listing.
type Page struct {
	Records []Record
	Next    string // the cursor of the next page; "" after the last
}

// A Match reports whether a selection by state selects a delivery of an event. For
// [Dead] it is called for each dead delivery; for events that are set aside it is called
// once, and the delivery is nil. The record has the history of every delivery and stage.
//
// A queue calls it in the transaction that changes the event, with the event's state at
// that moment, and maybe more than once. A Match must return quickly, must not call the
// queue, and must not change its arguments.
type Match func(Record, *DeliveryRecord) bool

// A ReplaySelection selects the deliveries to replay: by event ids, by the state of the
// events, or by the time since which the events were received. Exactly one of IDs,
// State and Since is set, or IDs and State together.
type ReplaySelection struct {
	IDs       []string  // with State: only those of the events that are in it; empty: all of them
	State     State     // Dead, Unrouted or Unconfirmed
	Match     Match     // with State: restricts the selection further; may be nil
	Since     time.Time // received at or after; never selects events that are set aside
	Upstreams []string  // only deliveries to these; nil: to all
	Progress  Progress  // counts the processed events; may be nil

	// Route returns the upstreams and the stages of an event by the present
	// configuration. It is called for unrouted and unconfirmed events, and for events
	// that wait for their completion. A nil Route returns none.
	Route func(*event.Event) []string
}

// Check returns ErrInvalid unless the selection is of exactly one kind and sets no
// field of another kind.
func (s ReplaySelection) Check() error {
	switch s.State {
	case "", Dead, Unrouted, Unconfirmed:
	default:
		return fmt.Errorf("%w: events in state %s cannot be replayed by state", ErrInvalid, s.State)
	}
	if s.Match != nil && s.State == "" {
		return fmt.Errorf("%w: a match needs a state", ErrInvalid)
	}
	return exactlyOne(s.ByID(), s.State != "", !s.Since.IsZero())
}

// ByID reports whether the selection names events whatever their state is.
func (s ReplaySelection) ByID() bool { return len(s.IDs) > 0 && s.State == "" }

// A PurgeSelection selects what Purge deletes: events by their ids, all dead
// deliveries, all events that are set aside in a state, or the pending and dead
// deliveries to an upstream. Exactly one of IDs, State and Upstream is set, or IDs and
// State together.
type PurgeSelection struct {
	IDs      []string // with State: only those of the events that are in it; empty: all of them
	Force    bool     // with IDs alone: also events that still wait for an upstream
	State    State    // Dead, Quarantined, Unrouted or Unconfirmed
	Match    Match    // with State: restricts the selection further; may be nil
	Upstream string
	Before   time.Time // with State: only events that were received before; zero matches all
	DryRun   bool      // deletes nothing and returns what a purge would return now
	Progress Progress  // counts the processed events; may be nil
}

// Check returns ErrInvalid unless the selection is of exactly one kind and sets no
// field of another kind.
func (s PurgeSelection) Check() error {
	if s.Force && !s.ByID() || s.State == "" && (!s.Before.IsZero() || s.Match != nil) {
		return fmt.Errorf("%w: force needs ids alone, and a time or a match needs a state", ErrInvalid)
	}
	if s.State == Pending || s.State == Delivered {
		return fmt.Errorf("%w: events in state %s cannot be purged by state", ErrInvalid, s.State)
	}
	return exactlyOne(s.ByID(), s.State != "", s.Upstream != "")
}

// ByID reports whether the selection names events whatever their state is.
func (s PurgeSelection) ByID() bool { return len(s.IDs) > 0 && s.State == "" }

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
