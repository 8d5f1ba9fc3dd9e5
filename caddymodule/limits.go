package caddymodule

import (
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
)

var (
	// bodyTimeout is how long a body may take to arrive completely.
	bodyTimeout = 10 * time.Second

	// storeTimeout is how long a genuine event may wait for the queue, and a request for
	// memory to be read into. SOAPNoteAPI cancels a request after 10 s and never retries, so
	// the handler waits almost as long.
	storeTimeout = 8 * time.Second

	// drainTimeout is how long the rest of a body is read and dropped after an answer.
	drainTimeout = time.Second
)

// limits are the limits on the requests of a handler. A handler keeps the limits that were in
// force when it was provisioned.
type limits struct {
	body, store, drain time.Duration

	unverified *receive.Budget // for bodies that are not verified yet
}

// currentLimits returns the limits for a handler that is being provisioned.
func currentLimits() limits {
	return limits{body: bodyTimeout, store: storeTimeout, drain: drainTimeout, unverified: receive.Unverified}
}
