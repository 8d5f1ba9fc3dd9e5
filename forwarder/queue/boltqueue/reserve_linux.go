package boltqueue

import (
	"errors"
	"os"
	"syscall"
)

const keepSize = 1 // FALLOC_FL_KEEP_SIZE

// allocate takes room on the disk for a part of a file, which stays as long as
// it is. A file system that cannot do that is not asked for more.
func allocate(f *os.File, offset, size int64) error {
	err := error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Fallocate(int(f.Fd()), keepSize, offset, size)
	}
	if errors.Is(err, syscall.EOPNOTSUPP) || errors.Is(err, syscall.ENOSYS) {
		return nil
	}
	return err
}

// available returns how much room the disk has for a file to grow, in bytes, or 0
// where that cannot be told.
func available(f *os.File) int64 {
	var s syscall.Statfs_t
	err := error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Fstatfs(int(f.Fd()), &s)
	}
	if err != nil {
		return 0
	}
	return int64(s.Bavail) * int64(s.Bsize) //nolint:unconvert // its type differs between architectures
}
