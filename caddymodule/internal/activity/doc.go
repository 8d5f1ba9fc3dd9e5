// Package activity has the recent activity of the process, for the console: the attempts of each
// upstream in the last hour, the rejections since the process's start, and when each provider last
// sent a genuine request.
//
// [Process] lives as long as the process, so that a reload loses nothing. It uses little memory:
// names of upstreams and providers come from the configuration, reasons are a closed set, and an
// upstream without an attempt for an hour is forgotten. Package metrics has totals only, and
// Prometheus's collectors cannot be read, so the rejections are counted here too.
//
// The package imports package verifier for the reasons. It does not know Caddy.
package activity
