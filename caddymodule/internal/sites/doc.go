// Package sites inspects the sites of a provisioned configuration.
//
// [Warn] logs warnings for handlers of Scribegate that receive no requests, for those that
// answer requests that a later directive would deny, and for a console whose pages `templates`
// executes. It knows Caddy's own directives only.
// [Traced] reports whether requests are traced.
//
// The package imports Caddy, and no other package of Scribegate.
package sites
