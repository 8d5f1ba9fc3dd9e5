package boltqueue

import (
	"errors"
	"os"
	"syscall"
)

// syncData puts what was written to a file onto stable storage, without its
// times.
func syncData(f *os.File) error {
	err := error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Fdatasync(int(f.Fd()))
	}
	return err
}
