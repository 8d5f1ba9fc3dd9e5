// Package event is the one form in which Scribegate speaks of what a provider
// announced: a CloudEvents 1.0 event whose data names the finished note or
// transcription, beside the provider's bytes as they came.
//
// Both halves of the gateway use it: the verifier makes events out of genuine
// requests, the forwarder renders them for the upstreams. It imports nothing
// else of this module, and knows neither HTTP nor storage.
package event
