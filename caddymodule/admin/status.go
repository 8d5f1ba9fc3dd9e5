package admin

import (
	"time"

	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// Status has the counts of the queue, and the state of each upstream.
type Status struct {
	Queue     QueueStatus      `json:"queue"`
	Upstreams []UpstreamStatus `json:"upstreams"`
	APIs      []APIStatus      `json:"apis,omitempty"` // of the providers that are asked, or that events wait for
}

// QueueStatus has the counts of the queue.
type QueueStatus struct {
	Engine      string `json:"engine"`
	Bytes       int64  `json:"bytes"`
	MaxBytes    int64  `json:"max_bytes"`
	Quarantined int64  `json:"quarantined"`
	Unrouted    int64  `json:"unrouted"`
	Unconfirmed int64  `json:"unconfirmed"`
	Unreadable  int64  `json:"unreadable"` // events that are damaged in whole or in part, as far as is known

	// Nodes are the nodes that share the queue, if the engine is for several.
	Nodes []NodeStatus `json:"nodes,omitempty"`

	// Database is the state of the database that these nodes share.
	Database *DatabaseStatus `json:"database,omitempty"`
}

// NodeStatus is the state of one of the nodes that share the queue.
type NodeStatus struct {
	Name     string    `json:"name"`
	LastSeen time.Time `json:"last_seen"`
	Leased   int64     `json:"leased"` // deliveries that it makes now, or is about to make
	Self     bool      `json:"-"`      // whether it is the node that answers
}

// DatabaseStatus is the state of the database that the nodes share, as the node that answers
// sees it.
type DatabaseStatus struct {
	RoundTripSeconds float64         `json:"round_trip_seconds"` // of the newest of its requests for changes; 0 if it has made none
	Standbys         []StandbyStatus `json:"standbys"`
}

// StandbyStatus is the state of a standby of the database. Without the rights of
// pg_read_all_stats, only its name is known.
type StandbyStatus struct {
	Name string `json:"name"`
	*StandbyLag
}

// StandbyLag is how far a standby is behind.
type StandbyLag struct {
	Synchronous bool    `json:"synchronous"` // whether commits wait for it
	LagBytes    int64   `json:"lag_bytes"`   // of the write-ahead log that it has not written
	LagSeconds  float64 `json:"lag_seconds"` // how late it was with what it has written last; 0 if it has everything
}

// UpstreamStatus is the state of an upstream. An orphaned upstream is no longer
// configured and still has events.
type UpstreamStatus struct {
	Name     string `json:"name"`
	Pending  int64  `json:"pending"`
	InFlight int64  `json:"in_flight"`
	Dead     int64  `json:"dead"`
	Paused   bool   `json:"paused"`

	// PausedUntil is the end of the pause, or, if the reason is failures, the time of
	// the next probe.
	PausedUntil *time.Time            `json:"paused_until,omitempty"`
	PauseReason forwarder.PauseReason `json:"pause_reason,omitempty"`

	Orphaned             bool       `json:"orphaned"`
	OldestPendingSeconds float64    `json:"oldest_pending_seconds"`
	LastSuccess          *time.Time `json:"last_success,omitempty"`
	LastFailure          *Failure   `json:"last_failure,omitempty"`
}

// A Failure is the newest failed attempt of an upstream.
type Failure struct {
	At      time.Time    `json:"at"`
	Outcome queue.Result `json:"outcome"`
	Status  int          `json:"status,omitempty"`
}

// APIStatus is the state of a provider's REST API, of the handlers with a source.
type APIStatus struct {
	Provider string `json:"provider"`
	Source   string `json:"source"`
	Pending  int64  `json:"pending"`   // events that wait to be completed
	InFlight int64  `json:"in_flight"` // of them
	Cleanups int64  `json:"cleanups"`  // results that wait to be deleted at the provider
	Paused   bool   `json:"paused"`

	// PausedUntil is the end of the pause, or, if the reason is failures, the time of
	// the next probe.
	PausedUntil *time.Time            `json:"paused_until,omitempty"`
	PauseReason forwarder.PauseReason `json:"pause_reason,omitempty"`

	// Configured is false if no handler has an api_key for the source any more: its events
	// wait until one has, or until they are replayed.
	Configured           bool        `json:"configured"`
	OldestPendingSeconds float64     `json:"oldest_pending_seconds"`
	LastSuccess          *time.Time  `json:"last_success,omitempty"`
	LastFailure          *APIFailure `json:"last_failure,omitempty"`
}

// An APIFailure is the newest request that the API did not answer as it should.
type APIFailure struct {
	At     time.Time `json:"at"`
	Reason string    `json:"reason"` // an outcome of scribegate_fetch_duration_seconds
	Status int       `json:"status,omitempty"`
}

// Health is the answer to a container's probe. As an error it returns the reason why the
// gateway is unavailable.
type Health struct {
	Status string `json:"status"` // "ok" or "unavailable"
	Reason string `json:"reason,omitempty"`
}

func (h Health) Error() string { return h.Reason }
