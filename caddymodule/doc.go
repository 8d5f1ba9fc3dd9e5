// Package caddymodule is Scribegate as a Caddy plugin: the app `scribegate` (queue,
// upstreams, delivery), the HTTP handler `scribegate` (the endpoint of one provider), and the
// guest modules for providers and queue engines, with their Caddyfile. Importing it registers
// all of them with Caddy, and the admin API and the commands as well. Its README.md is the
// reference for the configuration.
//
// An event goes through it in one direction. Handler.ServeHTTP reads a request with package
// receive, proves it genuine and reads its event with package verifier, stores the event with
// package gateway, and answers. The dispatcher of package forwarder delivers the event from the
// queue to the upstreams. The queue and the dispatcher belong to a gateway of package
// internal/gateway, which outlives a reload.
//
// Everything that does not need the app or the handler is a package of its own, and never
// imports this one:
//
//   - admin: the types of the admin API; internal/adminapi: its server.
//   - internal/operate: replays and purges, for the admin API and the console.
//   - command: `caddy scribegate ...`.
//   - console: the pages to look at events, and to act on them.
//   - internal/wording: the words that the commands and the console share.
//   - internal/receive: reading and answering requests.
//   - internal/gateway: the open queues with their dispatchers, over reloads.
//   - internal/route: an upstream that is a Caddy route.
//   - internal/sites: warnings about directives around a handler in a site.
//   - internal/syntax: the errors of a Caddyfile that these packages share.
//   - internal/logging and internal/audit: log lines and the audit trail.
//   - internal/caddylog: the log encoder `scribegate`, for the lines of Caddy itself.
//   - internal/activity: recent deliveries and rejections, for the console.
//   - internal/metrics, internal/tracing and internal/notify: metrics, spans and Caddy events.
//   - internal/secret and internal/credentials: secrets and their files, and the secret
//     headers for raw upstreams.
//
// Another plugin adds a provider as a module in the namespace scribegate.providers that
// implements verifier.Provider, and a queue engine as a module in scribegate.queues that
// implements [Engine]. Optional interfaces of a provider are verifier.EventTyper,
// [TolerantProvider], [SecretCounter] and [CredentialHolder]. [NewSecret] resolves its secrets.
package caddymodule

import (
	_ "github.com/scribegate/scribegate/caddymodule/command"           // registers `caddy scribegate`
	_ "github.com/scribegate/scribegate/caddymodule/internal/adminapi" // registers the admin API
)
