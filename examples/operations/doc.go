// Command operations stages what the README's chapter "On call" tells of: an
// upstream that goes away, a secret that is rotated, deploys that break a
// backend. All of it happens to a real gateway, with a backend of the program's
// own; the commands are typed as they stand in the README, and what they print is
// shown. At the end stands how long each incident took to be seen.
//
// It needs curl, and the gateway's binary, which `make build` makes:
//
//	go run ./examples/operations
//	go run ./examples/operations -write README.md
//
// With -write the README's blocks are replaced by what was printed. A test, behind
// the build tag examples, stages the same and compares.
package main
