// Package boltqueue is the embedded queue: one bbolt file with a journal before
// it, one goroutine that commits, and payloads that are always sealed.
//
// An event is answered, and due, when it is in the journal. Every change goes
// through the committing goroutine: it takes whatever waits, applies it in one
// transaction, and answers what the journal has not answered. What is read is read
// in short transactions. In memory are claims, counters, the places of the newest
// ids, and what waits for the next commit, which is lent from there; and nothing
// that grows with the backlog.
//
// The file holds, beside sealed payloads, only what may be told of an event:
// ids, types, times, states and outcomes.
//
// It imports packages event and queue, and bbolt.
package boltqueue
