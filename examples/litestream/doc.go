// Package litestream tests the documentation on replicating the queue with Litestream,
// in the chapter caddymodule/command/README.md. The tests, with the build tag examples,
// run a real gateway and a real Litestream, with the configuration of that chapter.
package litestream
