// Package caddymodule is Scribegate as a Caddy plugin: the app `scribegate`
// (queue, upstreams, delivery), the HTTP handler `scribegate` (one provider's
// endpoint), the guest modules for providers and queue engines, the admin
// routes and the commands. Importing it registers all of them with Caddy. Its
// README.md is the reference for the configuration.
//
// An event goes through it in one direction. Handler.ServeHTTP reads a request with package
// receive, proves it genuine and reads its event with package verifier, stores the event in
// the queue of the App, and answers. The dispatcher of package forwarder delivers the event
// from the queue to the upstreams. The queue and the dispatcher belong to a gateway of
// package internal/gateway, which outlives a reload.
//
// The parts that do not need the app or the handler are packages of their own, below this
// one: admin (the types of the admin API), command (`caddy scribegate ...`), and those in
// internal, such as receive (reading and answering requests), gateway, and secret (secrets
// and their files). They never import this package.
//
// Another plugin adds a provider as a module in the namespace
// scribegate.providers that implements verifier.Provider, and a queue engine as
// a module in scribegate.queues that implements Engine.
package caddymodule

import _ "github.com/scribegate/scribegate/caddymodule/command" // registers `caddy scribegate`
