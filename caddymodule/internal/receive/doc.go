// Package receive reads the requests of providers before they are proved genuine, and
// answers them.
//
// [Check] and [Body] enforce the limits on a request: its method, its encoding, its size,
// and the time in which it must arrive. The bodies of all requests share a [Budget], so
// that strangers cannot exhaust the memory of the process, and so that a small body never
// waits for large ones. [AnswerTo] turns the reason of a rejection into an [Answer], which
// is the same for all reasons of a status. [Sampler] limits the log lines on rejections.
//
// The package imports the standard library, jsontext, and package verifier for the
// reasons of rejections. It does not import Caddy, and works with any http.Server.
package receive
