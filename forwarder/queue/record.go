package queue

import "time"

// A Record is what the store returns about an event without opening its payload.
type Record struct {
	ID         string
	Provider   string
	Type       string // the short type
	Subject    string // may be ""
	ReceivedAt time.Time
	EndedAt    time.Time // when the event was set aside or its last delivery ended; zero while one is pending

	// State is Quarantined, Unrouted or Unconfirmed for an event that is set aside,
	// else the worst state of its deliveries: dead, then pending, then delivered. An
	// event without upstreams is delivered.
	State      State
	Reason     string // of a quarantined or unconfirmed event
	HasPayload bool
	Deliveries []DeliveryRecord
	Stages     []DeliveryRecord
}

// A DeliveryRecord is the state of one delivery of an event.
type DeliveryRecord struct {
	Upstream    string
	State       State
	Attempts    int
	Used        int
	NextAttempt time.Time // if Pending and attempted before
	History     []Attempt // the newest MaxHistory attempts, oldest first
}

// Replayed is the result of Replay.
type Replayed struct {
	Deliveries     int // to upstreams, due again
	WithoutPayload int // events that were skipped because their payload is no longer kept
	Unrouted       int // unrouted or unconfirmed events that were skipped because Route returned no upstream
}

// Stats are counts of the store's content.
type Stats struct {
	Bytes       int64 // of sealed records
	MaxBytes    int64 // 0: no limit
	Quarantined int64
	Unrouted    int64
	Unconfirmed int64
	Unreadable  int64                    // events known to be damaged in whole or in part
	Upstreams   map[string]UpstreamStats // every upstream that has events, configured or not
	Stages      map[string]UpstreamStats // every stage that can be claimed or is dead for an event
}

// UpstreamStats are counts of an upstream's deliveries.
type UpstreamStats struct {
	Pending       int64 // including claimed ones and, of an upstream, those that wait for a completion
	InFlight      int64 // claimed
	Dead          int64
	OldestPending time.Time // when the oldest pending event was received; zero if there is none
}
