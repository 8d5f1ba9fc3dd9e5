// Package forwarder delivers events from a queue to the upstreams: attempts,
// retries, pauses, formats and signatures.
//
// Package gateway, in caddymodule/internal, makes a Dispatcher with New, gives it a
// queue.Queue and the upstreams, and closes it at the end. The Dispatcher has a loop
// for each upstream. The loop claims deliveries from the queue and starts an attempt
// at each. The attempt loads the event, renders it as a Message, sends the message
// with the upstream's Sender, and settles the outcome: delivered, due again later,
// or dead. An Observer receives each outcome, for logs and metrics.
//
// The package does not know Caddy. The queue, the clock, the randomness, the
// tracer and the Senders are parameters. Of this module it imports packages queue and
// event, and its own pace.
package forwarder
