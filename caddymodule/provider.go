package caddymodule

import (
	"time"

	"github.com/scribegate/scribegate/caddymodule/internal/credentials"
	"github.com/scribegate/scribegate/verifier"
)

// A TolerantProvider is a provider that accepts a request until its timestamp is too old,
// and would accept a captured one again. It is optional: the app's dedupe_window must be at least
// twice the tolerance, so that the queue recognizes the event.
type TolerantProvider interface {
	verifier.Provider

	// RequestTolerance returns how old or how far in the future a timestamp may be. It
	// is also called before Provision, when the Caddyfile has been read.
	RequestTolerance() time.Duration
}

// A SecretCounter is a provider that returns the number of its secrets. It is optional:
// the metric of each secret starts at 0 only if the number is known.
type SecretCounter interface {
	verifier.Provider

	// SecretCount returns the number of secrets, which Proof.Verify returns an index of.
	SecretCount() int
}

// A CredentialHolder is a provider whose requests are proved by a header that is itself
// the secret. It is optional: an event never contains the secret, so an upstream with the format
// raw receives the header with the value that Credential returns.
type CredentialHolder = credentials.Holder
