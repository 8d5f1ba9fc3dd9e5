// Package route makes an upstream of a Caddy route: any HTTP handlers and matchers, in the
// order in which they are written.
//
// [Parse] reads the block `route { ... }` of a Caddyfile. [Check] and [Warn] find routes that
// would send events in a loop, or whose handlers are never reached. [NewSender] returns the
// forwarder.Sender that sends deliveries through a route. Its reverse_proxy handlers use a
// transport of this package, `scribegate`, which is Caddy's own with the rules for deliveries.
//
// The package imports Caddy, and packages forwarder, logging and syntax.
package route
