//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package boltqueue

import (
	"errors"
	"os"
	"syscall"
)

// canShrink says whether a file can be locked as shrink needs it.
const canShrink = true

// errLocked says that somebody else has the file locked.
var errLocked = errors.New("the file is locked")

// lockExclusively makes the shared lock that bbolt holds exclusive, without
// waiting.
func lockExclusively(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
