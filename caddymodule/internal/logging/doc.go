// Package logging writes the log lines of Scribegate's modules without ever blocking the
// module that logs.
//
// [Logger] returns the logger of a module, and [Audit] the one of the audit trail. Both put
// their lines into a queue, which one goroutine writes in order. If the log cannot be written, or
// not as fast as the lines come, lines are dropped and counted. [SilenceUpstreams] keeps the
// text of upstreams out of Go's standard logger.
//
// The package imports Caddy and zap, and no other package of Scribegate.
package logging
