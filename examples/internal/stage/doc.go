// Package stage runs real processes, such as the gateway and the backends, for the
// demonstration, the proof and the tests of the examples. It finds free loopback ports,
// reads the output of a process line by line, and stops it by its process id.
package stage
