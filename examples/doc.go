// Package examples has configurations and backends that run, for people to copy. Its
// README.md is the chapter on operations: deployment, monitoring, on call.
//
// The folder holds Caddyfiles, and a program in each folder below. The tests, with the
// build tag examples, start all of them and send events through them.
package examples
