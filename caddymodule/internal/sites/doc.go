// Package sites inspects the sites of a provisioned configuration.
//
// [Warn] logs warnings for scribegate handlers that receive no requests, and for those that
// answer requests that a later directive would deny. It knows Caddy's own directives only.
// [Traced] reports whether requests are traced.
//
// The package imports Caddy, and no other package of Scribegate.
package sites
