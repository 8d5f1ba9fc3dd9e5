// Package console is the console: an HTTP handler that serves pages to look at the events of
// the running gateway, and to act on them. It registers the module
// `http.handlers.scribegate_console` and the Caddyfile directive `scribegate_console`.
//
// A request passes the access check first, which is about who may see the console, and then the
// pages, which are in package pages below. Each answer has the same security headers, that of an
// error too. A page is named by the last segment of the path, and all links are relative, so
// that the console works under any path.
//
// The package imports Caddy, package queue, and packages below caddymodule/internal, but
// neither the app nor the handler of package caddymodule, which imports it.
package console
