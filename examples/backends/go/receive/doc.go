// Package receive takes Scribegate's deliveries with the standard library
// alone: it verifies the Standard Webhooks signature by hand, reads both
// CloudEvents formats and handles each event once, whatever is delivered twice.
//
// It imports nothing of Scribegate: copy the folder into your own backend.
package receive
