//go:build !linux

package gateway

import "errors"

var errLinux = errors.New("the benchmark runs only on Linux")

// Suspend returns an error.
func (*Gateway) Suspend() error { return errLinux }

// Resume returns an error.
func (*Gateway) Resume() error { return errLinux }
