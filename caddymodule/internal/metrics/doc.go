// Package metrics has the Prometheus collectors of requests, commits and deliveries.
//
// They live as long as the process, so that values survive a reload. Each function counts
// one thing, and the functions that begin with Begin start series at 0. The counts of the queue
// are a collector of package gateway.
//
// The package imports the Prometheus client, and packages build, receive, queue, verifier and
// event.
package metrics
