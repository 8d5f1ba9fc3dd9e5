// Command maintenance does the work of the chapter "Run it" with real gateways: it backs a
// queue up and restores it, moves it to another machine, upgrades, replaces secrets and keys,
// moves to PostgreSQL, and leaves. It runs the commands of that chapter and prints their output.
//
// It needs the gateway's binary, which `make build` makes, and Debian's package postgresql:
//
//	go run ./examples/maintenance
//	go run ./examples/maintenance -write examples/maintenance/README.md
//
// With -write it replaces the blocks in the document with the output. A test, with the build
// tag examples, runs the same and compares the output with the chapter.
package main
