// Package policy contains what every queue engine shares: the state machine of a
// delivery, the rules of retention, the encoding of records, the counters, and the
// Writer.
//
// An engine gives the Writer a Commits, which writes a Batch in one transaction. The
// Writer is one goroutine. It collects the changes of many callers into batches, so
// that they share a sync, and reports the result to each caller.
//
// It imports packages queue, event and seal.
package policy
