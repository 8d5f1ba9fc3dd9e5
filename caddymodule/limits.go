package caddymodule

import (
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/receive"
)

var (
	// bodyTimeout is how long a body may take to arrive completely.
	bodyTimeout = 10 * time.Second

	// storeTimeout is how long a genuine event may wait for the queue, and a
	// request for room to be read. SOAPNoteAPI gives up after 10 s and never
	// retries, so the handler waits as long as it can.
	storeTimeout = 8 * time.Second

	// drainTimeout is how long the rest of a body is read and dropped after an answer.
	drainTimeout = time.Second
)

// limits are the limits on the requests of a handler. A handler keeps the limits that are
// in force when it is provisioned.
type limits struct {
	body, store, drain time.Duration

	unverified *receive.Budget // for bodies that are not yet proved genuine
}

func currentLimits() limits {
	return limits{body: bodyTimeout, store: storeTimeout, drain: drainTimeout, unverified: receive.Unverified}
}
