// Package examples contains Caddyfiles and backends that run. Its tests, with the
// build tag examples, start all of them and send events through them.
package examples
