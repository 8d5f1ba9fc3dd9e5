// Command bench measures the speed of a real gateway and of a bare Caddy, in one run on one
// machine, and prints a table of ratios. Each line of the table says what the gateway is
// compared with, the ratio that it must reach, and the ratio that is the aim. The exit status
// is 0 if everything was measured and all counts were correct, whatever the ratios are.
//
// It needs Linux, the gateway's binary, which `make build` makes, and PostgreSQL with pgbench, which
// Debian's package postgresql has:
//
//	go run ./examples/proof/bench                     # the table: about half an hour
//	go run ./examples/proof/bench -quick              # the same with less precision: half a minute
//	go run ./examples/proof/bench -list               # the names of the lines
//	go run ./examples/proof/bench -lines 'verify|forged' -rounds 10
//	go run ./examples/proof/bench -lines postgres     # queue postgres alone
//	go run ./examples/proof/bench -without-postgres   # all lines but these; the table says so
//	go run ./examples/proof/bench -grid               # bodies, connections and protocols
//	go run ./examples/proof/bench -growth             # how costs grow with the backlog and others
//	go run ./examples/proof/bench -all -markdown BENCHMARK.md -svg benchmark.svg
//	go run ./examples/proof/bench -lines accept -rounds 1 -profile profiles
//	go run ./examples/proof/bench -against old/caddy  # two binaries alternately, a table for each
//
// # How it measures
//
// A run has several rounds. In each round, every contender is under load for some seconds: this
// is a slice. The order is random in each round, so that other work on the machine affects all
// contenders alike. A ratio compares two slices of the same round. The table has the median,
// the minimum and the maximum of the rounds' ratios. Each contender is a separate process with
// an empty queue (or with the queue that the line is about), and is warmed up before its slice.
// Only one contender is under load at a time.
//
// Every slice checks that all requests had the expected answer and no duplicates, that a paused
// upstream stayed paused and received nothing, and that all accepted events wait or were
// delivered exactly once. If a check fails, the slice fails, and its round has no ratio.
//
// # Queue postgres
//
// One server runs for the whole run, on this machine and with fsync on. Each contender has a new
// database. pgbench inserts rows that have as many bytes as a gateway's sealed records, one in each
// transaction, over as many connections as the load generator has to the gateway. The lines with
// several gateways share one database, and the load generator's connections are spread over them:
// on one machine they do not become faster together, but their processor time for each event shows
// what sharing costs.
//
// # Why it does not use existing tools
//
// The load generator prepares all requests before the slice starts: each has its own id and its
// own HMAC. A connection has the bytes of a whole request in a buffer and copies only the id and
// the signature into it. The shared part of the body is hashed once, so that signing costs the
// same for every size of body. The generator shares the machine with the gateway, so it must
// need little processor time. vegeta and other clients that use net/http need about twice as
// much: on two loaded cores, alternately and with 32 connections, net/http sent 14,900 requests a
// second (30 µs of processor time each, with the responder), this generator 30,300 (16 µs). wrk
// is as fast with a fixed request, but signs in Lua, and cannot limit the number of undelivered
// events, as the steady lines need. The generator's maximum rate is measured in every round and
// printed.
//
// benchstat compares independent samples of Go benchmarks. The ratios here are of pairs, since
// the speed of a shared machine changes between rounds: internal/figures has the median and the
// quantiles that this needs. The plot is a bar chart with a goal and an aim for each bar, in 200
// lines. A plotting library would add its fonts and renderers to the modules of everybody who
// builds the gateway.
//
// # Adding a line
//
// A measurement is a value in measurement.go. Its function runs a trial (a gateway's
// configuration, and the requests to send) and returns a sample. A line in line.go names a figure
// of a measurement, the figure to compare it with, and the goal.
package main
