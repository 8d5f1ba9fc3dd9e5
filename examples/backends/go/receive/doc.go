// Package receive receives Scribegate's deliveries: it verifies the Standard
// Webhooks signature, reads both CloudEvents formats and handles each event once,
// even if it is delivered twice.
//
// It imports only the standard library: copy the folder into your own backend.
package receive
