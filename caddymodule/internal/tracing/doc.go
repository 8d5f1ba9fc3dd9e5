// Package tracing makes the exporter and the tracer of OpenTelemetry spans.
//
// The package imports Caddy, the OpenTelemetry SDK, and package build.
package tracing
