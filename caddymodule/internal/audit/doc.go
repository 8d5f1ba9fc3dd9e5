// Package audit writes the audit trail: what was done with each event, when, and by whom.
//
// Each line is one [Action] with its fields. The lines go through Caddy's logging as the
// logger scribegate.audit, so that the Caddyfile decides where they are kept. They contain
// ids, names and numbers of our own, and addresses, but no part of a payload, of a query
// string or of a header, except for the Origin of an operation.
//
// Package chain adds the fields that prove that the trail is whole.
//
// The package imports packages chain, logging, receive, queue, verifier and event, and zap.
package audit
