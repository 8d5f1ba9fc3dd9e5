// Package notify emits Caddy events about rejected requests, dead events and paused upstreams,
// without making a request or a delivery wait for a subscriber.
//
// The package imports Caddy, its events app, and package logging.
package notify
