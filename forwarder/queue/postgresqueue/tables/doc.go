// Package tables reads and writes the rows of the events: the records of events with their
// deliveries, the traces, and the changes of one transaction.
//
// It imports packages queue, policy and seal, and pgx.
package tables
