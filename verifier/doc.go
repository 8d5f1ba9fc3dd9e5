// Package verifier answers two questions about a webhook request: is it
// genuine, and what does it say?
//
// It is pure: it does not use Caddy, the network or a clock, and keeps no state.
// Bytes and headers go in; an event or a Rejection comes out. Of this module it
// imports packages event and digest only.
package verifier
