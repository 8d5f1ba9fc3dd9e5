// Package forwarder takes events from a queue to the upstreams until they have
// them: attempts, retries, pauses, formats and signatures.
//
// It does not know Caddy. What varies is handed in: the queue, the clock, the
// randomness, the tracer, and the Sender that carries a request to an upstream. It
// imports packages event and queue and nothing else of this module.
package forwarder
