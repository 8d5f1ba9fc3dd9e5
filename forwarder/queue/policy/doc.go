// Package policy is what every queue engine shares: the state machine of a delivery,
// the rules of retention, the coding of a record, the counters, and the writer that
// groups the changes of many callers into one transaction.
//
// It imports packages queue, event and seal, and knows no database.
package policy
