// Package logging writes the log lines of Scribegate's modules without ever blocking the
// module that logs.
//
// [Logger] returns the logger of a module, [Configuration] the one for what concerns the
// configuration, whose warnings are also recorded for the console, and [Audit] the one of the
// audit trail, whose lines package chain links. All put their lines into a queue, which one goroutine writes in order. If the log
// cannot be written, or not as fast as the lines come, lines are dropped and counted.
// [SilenceUpstreams] keeps the text of upstreams out of Go's standard logger.
//
// The package imports Caddy and zap, and packages build and chain.
package logging
