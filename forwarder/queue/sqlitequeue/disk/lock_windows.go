package disk

import (
	"errors"
	"io/fs"
	"os"
	"syscall"
	"unsafe"
)

var lockFileEx = syscall.NewLazyDLL("kernel32.dll").NewProc("LockFileEx")

const (
	lockFailImmediately = 1
	lockExclusive       = 2

	errLockViolation = syscall.Errno(33)
	errWriteProtect  = syscall.Errno(19)
)

// tryLock locks a file exclusively, without waiting, and reports whether it succeeded.
// The locked byte is far behind the content, which other processes may read.
func tryLock(f *os.File) (bool, error) {
	at := syscall.Overlapped{OffsetHigh: 1}
	ok, _, err := lockFileEx.Call(f.Fd(), lockFailImmediately|lockExclusive, 0, 1, 0, uintptr(unsafe.Pointer(&at)))
	if ok != 0 {
		return true, nil
	}
	if errors.Is(err, errLockViolation) || errors.Is(err, syscall.ERROR_IO_PENDING) {
		return false, nil
	}
	return false, err
}

// readOnly reports whether the error means that nothing can be written here.
func readOnly(err error) bool {
	return errors.Is(err, fs.ErrPermission) || errors.Is(err, errWriteProtect)
}
