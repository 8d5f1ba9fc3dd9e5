// Package adminapi is the server of the admin API: the part of Caddy's admin endpoint under
// /scribegate/.
//
// [API] is the Caddy module. It finds the route of a request in one table, checks the
// request, and answers from the current gateway. Package operate performs its replays and
// purges. The types of the requests and the answers are in package admin, which does not
// import Caddy.
//
// The package imports Caddy and packages admin, gateway, operate, audit, logging, receive and
// queue.
package adminapi
