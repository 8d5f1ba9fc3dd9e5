// Package operate performs replays and purges for an operator: for the admin API and for
// the console.
//
// An [Operator] runs a [Replay] or a [Purge], probes the upstreams after a replay, writes
// the line of the audit trail and that of the log. [NewReplay] and [NewPurge] make them of
// the requests of the admin API. A [Group] makes them of events that are in a state for the
// same [Cause], so that an operator acts on what was shown and not on what came later.
//
// The package imports packages gateway, audit and admin, queue, Caddy for its durations,
// and zap.
package operate
