//go:build race

package caddymodule

// raceDetector reports whether the tests, and the processes that they start from
// their own binary, run with the race detector.
const raceDetector = true
