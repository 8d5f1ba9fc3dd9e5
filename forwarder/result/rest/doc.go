// Package rest sends requests to the REST API of a provider: one client per address
// and key, with connection reuse, a rate limit, bounded answers, and one closed set of
// errors that say what to change.
//
// The packages beside it know the endpoints. Of this module it imports package
// forwarder and its pace.
package rest
