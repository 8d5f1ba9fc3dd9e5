// Package gateway starts the measured gateways: Caddy processes, bare or with Scribegate. It writes
// their Caddyfiles, waits for the state of their upstreams, and reads their metrics and profiles.
package gateway
