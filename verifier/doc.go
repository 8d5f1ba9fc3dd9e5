// Package verifier answers two questions about a webhook request: is it genuine,
// and what does it say?
//
// The HTTP handler of package caddymodule calls a Provider in three steps.
// CheckHeader checks the header before a byte of the body is read, and returns a
// Proof. Proof.Verify checks the body against it. Event reads the verified body
// and returns the normalized event. A request that is not genuine is a *Rejection
// with a Reason; a genuine body that is not the provider's JSON is a
// *PayloadError. SOAPNoteAPI and Soniox are the providers that are built in.
//
// The command `caddy scribegate verify` calls Diagnose, which finds the usual
// mistakes behind a signature that does not match.
//
// The package is pure: it does not use Caddy, the network or a clock, and keeps no
// state. Of this module it imports package event only.
package verifier
