package disk

import (
	"errors"
	"os"
	"syscall"
)

// statfs returns the kernel's data about the file system of a file or directory.
func statfs(path string) (s syscall.Statfs_t, err error) {
	err = syscall.EINTR
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Statfs(path, &s)
	}
	if err != nil {
		err = &os.PathError{Op: "statfs", Path: path, Err: err}
	}
	return s, err
}

// fileSystemMagic returns the number of the file system's type.
func fileSystemMagic(dir string) (uint32, error) {
	s, err := statfs(dir)
	return uint32(s.Type), err
}

// Space returns the free bytes of the file system for this process, and its size in
// bytes. It ignores the user's quota.
func Space(dir string) (free, total uint64, err error) {
	s, err := statfs(dir)
	if err != nil {
		return 0, 0, err
	}
	unit := uint64(s.Frsize)
	if unit == 0 {
		unit = uint64(s.Bsize)
	}
	return s.Bavail * unit, s.Blocks * unit, nil
}

// allocate allocates blocks for the first size bytes of a file. It returns
// errors.ErrUnsupported if the file system cannot do this.
func allocate(f *os.File, size int64) error {
	err := error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Fallocate(int(f.Fd()), 0, 0, size)
	}
	return err
}

// The offset of the lock that every SQLite connection holds, and the command for a lock
// that belongs to an open file instead of the process.
const (
	sharedFirst = 0x40000002
	sharedSize  = 510
	setOFDLock  = 37 // F_OFD_SETLK
)

// PreventCheckpoint makes SQLite close its last connection without a checkpoint, until
// release is called.
//
// That checkpoint would write the WAL's pages into a main file that another program has
// overwritten or truncated, and then delete the WAL. (If the name refers to another
// file, SQLite changes neither.) The driver does not export
// SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, and SQLITE_FCNTL_PERSIST_WAL only keeps the WAL.
// But SQLite makes the checkpoint only if it gets an exclusive lock on the main file,
// which fails while another open file has a shared lock. release closes a descriptor of
// the main file, so call it after closing the connections.
func PreventCheckpoint(path string) (release func() error, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	l := syscall.Flock_t{Type: syscall.F_RDLCK, Start: sharedFirst, Len: sharedSize}
	if err := syscall.FcntlFlock(f.Fd(), setOFDLock, &l); err != nil {
		return nil, errors.Join(&os.PathError{Op: "lock", Path: path, Err: err}, f.Close())
	}
	return f.Close, nil
}

// InUse reports whether another open file has a lock on the database. Each SQLite
// connection has one until it is closed.
func InUse(path string) (bool, error) {
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return false, err
	}
	defer f.Close()
	l := syscall.Flock_t{Type: syscall.F_WRLCK, Start: sharedFirst, Len: sharedSize}
	err = syscall.FcntlFlock(f.Fd(), setOFDLock, &l)
	if errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EACCES) {
		return true, nil
	}
	if err != nil {
		return false, &os.PathError{Op: "lock", Path: path, Err: err}
	}
	return false, nil
}

// Named reports whether an open file has a name in any directory.
func Named(f *os.File) bool {
	info, err := f.Stat()
	if err != nil {
		return false
	}
	s, ok := info.Sys().(*syscall.Stat_t)
	return ok && s.Nlink > 0
}
