package queue

import (
	"time"

	"github.com/scribegate/scribegate/verifier/event"
)

// An Item is one event to store.
type Item struct {
	Event     *event.Event // must not change any more, even after it is stored
	Upstreams []string     // the upstreams that receive the event, and its stages; may be empty

	// Recovered marks an event that was not received but found at its provider: any trace
	// of it in the store, however old, makes it a duplicate.
	Recovered bool

	// State is Quarantined, Unrouted or Unconfirmed for an event that is kept with its
	// payload and without deliveries, else "".
	State  State
	Reason string // of an event that is set aside: a fixed phrase, since it is not sealed
}

// A Receipt is the result of Store.
type Receipt struct {
	Duplicate bool
}

// Want is the number of deliveries of each class that a caller of Claim accepts.
type Want struct {
	First int // deliveries that were never attempted, in order of arrival
	Retry int // deliveries that were attempted before, longest due first
}

// Claimed is the result of Claim.
type Claimed struct {
	Deliveries []Delivery
	// Next is when the first retry that is not due yet becomes due; zero if there is
	// none.
	Next time.Time
}

// A Delivery is one event to be delivered to one upstream.
type Delivery struct {
	Seq        uint64 // the engine's key of the event
	EventID    string
	Provider   string
	Type       string // the short type
	Subject    string // may be ""
	Upstream   string
	Size       int64 // bytes of the sealed record, about as much memory as Load uses
	ReceivedAt time.Time
	Attempts   int // number of attempts since the last replay
	Used       int // how many of them count against the budget

	// LastEnded is when the newest of these attempts ended; zero if there were none.
	LastEnded time.Time

	History []Attempt // of a stage, oldest first; nil for an upstream
}
