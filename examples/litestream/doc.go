// Package litestream tests what the chapter of the commands says about replicating the queue with
// Litestream. The tests, with the build tag examples, run a real gateway and a real
// Litestream.
package litestream
