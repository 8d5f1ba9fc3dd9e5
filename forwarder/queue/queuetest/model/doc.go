// Package model is the simplest queue that keeps the promises of package queue: lists
// in memory, without storage or concurrency. Package queuetest runs random operations
// on an engine and on the model, and compares the results.
//
// It imports package queue and nothing else of this module.
package model
