// Package boltqueue is the embedded queue: one bbolt file, one goroutine that
// commits, and payloads that are always sealed.
//
// Every change goes through the committing goroutine: it takes whatever waits,
// applies it in one transaction, syncs the file once, and only then answers.
// What is read is read in short transactions. In memory are claims, counters
// and what waits for the next commit, and nothing that grows with the backlog.
//
// The file holds, beside sealed payloads, only what may be told of an event:
// ids, types, times, states and outcomes.
//
// It imports packages event and queue, and bbolt.
package boltqueue
