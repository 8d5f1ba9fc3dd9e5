// Package load sends the webhooks of the providers: one after the other on a Connection, or with a Fleet
// of senders under load. The outcomes are recorded in a ledger.Book.
package load
