// Package postgres runs a PostgreSQL server for the benchmark: it makes an empty database for
// each trial, counts what the server does for an event, and runs pgbench.
package postgres
