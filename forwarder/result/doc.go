// Package result completes events with the result that they announce, and deletes
// the result at the provider after the last delivery. Both are stages of the queue: a
// Stage claims its deliveries, asks the provider's API, and settles the outcome.
//
// What a completion does next is decided by a pure function of what is known from
// earlier attempts and what the API answers now (progress.go). What is known is kept in the
// note of each attempt, so that a restart changes nothing.
//
// A transcript of 10 MB takes about 30 MB of memory until it is stored, and one answer of
// more than 1 MiB is read at a time in the process. Eight such transcripts in a row,
// completed and delivered at once, were measured to take 90 MB.
//
// The clients of the APIs are in the packages rest, soniox and soapnoteapi; package
// recovery beside them finds the results whose webhook never arrived. Of this module it
// imports packages queue, event, pace, and the clients.
package result
