// Package await waits for what a gateway does in another process: with a limit, so that a scenario ends
// if it does not happen.
package await
