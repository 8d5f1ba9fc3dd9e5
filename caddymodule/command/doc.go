// Package command is `caddy scribegate ...`: the commands with which people operate the
// gateway.
//
// send plays a provider, verify judges a captured request, and keygen makes keys, all
// without a server. The others ask the running server through Caddy's admin endpoint:
// each calls a route of package admin and prints the answer as a table, or with --json
// as JSON. export and audit verify also read the file of a queue that no server has open.
//
// One file holds one command. The files that commands share are run.go (errors and exit
// status), client.go and address.go (the admin API), work.go (requests that take long),
// and complete.go (what a shell completes). Package internal/terminal prints tables, and
// internal/sample makes the synthetic webhooks of send.
//
// Importing the package registers the command with Caddy. It imports Caddy's command
// line, and of this module package admin, the resolving of secrets, and packages
// chain, verifier, forwarder, queue and salvage. It knows nothing else of the server.
package command
