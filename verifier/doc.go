// Package verifier answers two questions about a webhook request: is it
// genuine, and what does it say?
//
// It is pure: it knows neither Caddy nor the network, has no clock of its own
// and keeps nothing. Bytes and headers go in; an event or a Rejection comes
// out. It imports package event and nothing else of this module.
package verifier
