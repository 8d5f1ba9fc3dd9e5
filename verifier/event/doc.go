// Package event defines the normalized event: a CloudEvents 1.0 event whose data
// describes the finished note or transcription, together with the provider's bytes
// as they were received.
//
// The verifier makes events from genuine requests, the queue stores them, and the
// forwarder renders them for the upstreams. This package imports nothing else of
// this module, and knows neither HTTP nor storage.
package event
