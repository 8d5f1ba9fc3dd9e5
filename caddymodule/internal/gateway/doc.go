// Package gateway holds the open queues, and the dispatchers that deliver from them, over
// reloads of Caddy's configuration.
//
// A [Gateway] is an open queue with its dispatcher. A configuration acquires it with a
// [Lease], and hands over what the gateway needs as one [Config]. Configurations with the same
// engine key share a gateway, so that a reload never closes the queue. The configurations that
// have started and not stopped are the generations. Only the oldest one is active, that is,
// delivers: a configuration that is rejected during its start never delivers.
//
// The package imports Caddy, package admin for the types of the status, and packages below
// internal, but neither the app nor the handler of package caddymodule.
package gateway
