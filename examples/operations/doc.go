// Command operations stages the incidents of the section "On call" with a real
// gateway: an upstream that goes down, a secret that is rotated, deploys that break a
// backend. It plays the provider and the backend, runs the commands of that section, and
// prints their output. At the end it prints how soon each incident was visible.
//
// It needs curl, and the gateway's binary, which `make build` makes:
//
//	go run ./examples/operations
//	go run ./examples/operations -write examples/README.md
//
// With -write it replaces the blocks in the document with the output. A test, with the build
// tag examples, runs the same and compares the output with examples/README.md.
package main
