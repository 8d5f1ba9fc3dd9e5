// Package admin has the types of the admin API: what `caddy scribegate` and other
// clients send and receive under /scribegate/ on Caddy's admin endpoint.
//
// The routes are in one table, in routes.go. Each request and each answer is a type with
// JSON tags: [Status], [Event], [Payload], [ReplayRequest], [PurgeRequest] and their
// answers, [Progress] of long work, and [Error]. The server in package caddymodule and
// the client in package command both use them, so that they agree.
//
// The package imports packages forwarder, queue and event for the words that are the
// same there, such as the states of an event. It does not import Caddy.
package admin
