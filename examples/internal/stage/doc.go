// Package stage runs real processes for the examples' tests and for the
// demonstration: the gateway and the backends, on free loopback ports, their
// output read line by line, each ended by its own process id.
package stage
