// Package caddylog keeps secrets and parts of webhooks out of the lines that Caddy itself
// logs.
//
// [Encoder] is the log encoder `scribegate`, which removes them. [WarnHeader] warns if an access
// log records the header that has a handler's secret.
//
// The package imports Caddy, zap, and package syntax.
package caddylog
