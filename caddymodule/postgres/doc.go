// Package postgres is a Caddy plugin with a queue engine for several machines: Scribegate's
// `queue postgres` keeps events in a PostgreSQL database that all of them share.
//
// It is a package of its own, so that a Caddy with package caddymodule alone links no
// driver of PostgreSQL. It registers one module, scribegate.queues.postgres.
package postgres
