// Package load is the load generator of the benchmark, and the backends that only answer. The
// requests of a Batch are prepared and signed before they are sent: a Generator sends them over raw
// connections of HTTP/1.1 or HTTP/2, since it shares the machine with the measured gateway.
package load
