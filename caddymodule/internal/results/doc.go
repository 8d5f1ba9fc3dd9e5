// Package results asks the providers' REST APIs for a gateway: it completes events before
// their first delivery, and deletes results at the provider after the last one.
//
// A [Set] has the running stages of package result, of the active configuration. An
// [Observer] reports their attempts in the log, the metrics and the audit trail.
//
// The package does not import Caddy.
package results
