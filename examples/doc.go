// Package examples holds Caddyfiles and backends that run. Its tests, behind the
// build tag examples, start them all for real and send events through them.
package examples
