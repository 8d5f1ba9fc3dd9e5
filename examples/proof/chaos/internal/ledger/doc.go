// Package ledger records what was acknowledged and what was delivered. A Book has the outcome of each
// request that was sent to the gateway; a Ledger has the backends of the upstreams, and the events that
// each of them has accepted. Both are kept when the gateway restarts, so that Count finds lost events.
package ledger
