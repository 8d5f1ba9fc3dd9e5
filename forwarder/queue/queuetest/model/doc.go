// Package model is the simplest queue that keeps the promises of package queue: lists
// in memory, without storage or concurrency. Package queuetest runs random operations
// on an engine and on the model, and compares the results.
//
// Of this module it imports package queue only.
package model
