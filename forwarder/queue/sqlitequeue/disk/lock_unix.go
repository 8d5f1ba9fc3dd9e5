//go:build unix

package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
)

// tryLock locks a file exclusively, without waiting, and reports whether it succeeded.
// The lock belongs to the open file: a second open file in this process is another
// owner.
func tryLock(f *os.File) (bool, error) {
	err := error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	return err == nil, err
}

// readOnly reports whether the error means that nothing can be written here.
func readOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, syscall.EROFS)
}
