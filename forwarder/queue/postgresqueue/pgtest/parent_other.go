//go:build !linux

package pgtest

import "syscall"

// endWithParent does nothing: a server of tests that were killed must be ended by hand.
func endWithParent(*syscall.SysProcAttr) {}
