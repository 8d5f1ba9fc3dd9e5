// Command bench measures how fast a real gateway is beside a bare Caddy, in one
// run on one machine, and prints one table of ratios: each line of it says what
// it is held against, what has to be reached and what is aimed at. It exits with
// status 0 where everything could be measured and every count added up, whatever
// the ratios are.
//
// It needs the gateway's binary, which `make build` makes, and Linux:
//
//	go run ./examples/proof/bench                     # the table: about half an hour
//	go run ./examples/proof/bench -quick              # the same, roughly: half a minute
//	go run ./examples/proof/bench -list               # the names of the lines
//	go run ./examples/proof/bench -lines 'verify|forged' -rounds 10
//	go run ./examples/proof/bench -grid               # bodies, connections and protocols
//	go run ./examples/proof/bench -growth             # what costs grow with
//	go run ./examples/proof/bench -all -markdown BENCHMARK.md -svg benchmark.svg
//	go run ./examples/proof/bench -lines accept -rounds 1 -profile profiles
//	go run ./examples/proof/bench -against old/caddy  # two binaries in turn, a table of each
//
// # How it measures
//
// There are several rounds. In each, every contender is under load for some
// seconds, in an order drawn anew, so that what else the machine does falls on
// all alike; a ratio is one of two slices of the same round, and the table has
// the median of the rounds' ratios, the lowest and the highest. A contender is a
// process of its own with an empty queue (or the one that the line is about), and
// is warmed up before its slice. Only one at a time is under load.
//
// The load generator writes requests that are ready: a connection has the bytes
// of a whole request in a buffer, and copies nothing into it but each request's
// own id and signature, both of which were made before the slice began. What
// requests have in common is hashed once, so that signing costs the same for
// every size of body. Its ceiling is measured in every round and printed.
//
// Every slice checks that all requests were answered as they should be and as
// new, that a paused upstream was paused and got nothing, that as many events
// wait as were accepted, or that each was delivered once. A slice in which
// something does not add up fails, and its round has no ratio.
//
// # Adding a line
//
// A measurement is a value in measurement.go: its function runs a trial, that is
// a gateway's configuration and the requests it is sent, and returns a sample. A
// line in line.go names a figure of a measurement, what it is held against and
// what is asked of it.
package main
