// Package litestream runs what the README says about replicating the queue with
// Litestream. Its tests, behind the build tag examples, run the gateway and Litestream
// for real.
package litestream
