// Package forwarder delivers events from a queue to the upstreams: attempts, retries,
// pauses, formats and signatures.
//
// A Dispatcher has a loop for each upstream. The loop claims deliveries from the
// queue and starts an attempt at each; the attempt loads the event, renders it as a
// Message, sends that with the upstream's Sender, and settles the outcome.
//
// The package does not know Caddy. The queue, the clock, the randomness, the tracer
// and the Senders are parameters. Of this module it imports packages queue, event and
// digest only.
package forwarder
