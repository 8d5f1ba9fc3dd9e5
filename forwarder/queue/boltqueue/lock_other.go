//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package boltqueue

import (
	"errors"
	"os"
)

const canShrink = false

var errLocked = errors.New("the file is locked")

func lockExclusively(*os.File) error { return errors.ErrUnsupported }
