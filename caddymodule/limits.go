package caddymodule

import "time"

var (
	// bodyTimeout is how long a body may take to arrive whole.
	bodyTimeout = 10 * time.Second

	// storeTimeout is how long a genuine event may wait for the queue, and a
	// request for room to be read. SOAPNoteAPI gives up after 10 s and never
	// retries, so the handler waits as long as it can.
	storeTimeout = 8 * time.Second

	// lingerTimeout is how long the rest of a body is read away behind an answer.
	lingerTimeout = time.Second
)

// limits are what a handler's requests may take. A handler keeps those that are in
// force when it is provisioned.
type limits struct {
	body, store, linger time.Duration

	unverified *budget // of bodies that are not proved genuine yet
}

func currentLimits() limits {
	return limits{body: bodyTimeout, store: storeTimeout, linger: lingerTimeout, unverified: unverified}
}
