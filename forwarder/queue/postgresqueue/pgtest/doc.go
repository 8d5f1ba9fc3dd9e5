// Package pgtest starts PostgreSQL servers for tests, with a data directory and a user of
// their own. It needs Debian's package postgresql, or another installation whose commands
// are on PATH or in /usr/lib/postgresql, and for a pooler the package pgbouncer.
package pgtest
