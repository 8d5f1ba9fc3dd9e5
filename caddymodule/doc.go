// Package caddymodule is Scribegate as a Caddy plugin: the app `scribegate`
// (queue, upstreams, delivery), the HTTP handler `scribegate` (one provider's
// endpoint), the guest modules for providers and queue engines, the admin
// routes and the commands.
//
// It is the only package that knows Caddy. An event goes through it in one
// direction: Handler.ServeHTTP proves and reads a request with package
// verifier, stores it in the queue of the App, and answers; the queue's
// dispatcher, package forwarder, takes it from there to the upstreams.
//
// Another plugin adds a provider as a module in the namespace
// scribegate.providers that implements verifier.Provider, and a queue engine as
// a module in scribegate.queues that implements Engine.
package caddymodule

import _ "github.com/scribegate/scribegate/caddymodule/command" // registers `caddy scribegate`
