package disk

import (
	"errors"
	"os"
	"syscall"
)

// statfs returns what the kernel says of the file system of a file or directory.
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

// fileSystemMagic returns the number of the kind of file system.
func fileSystemMagic(dir string) (uint32, error) {
	s, err := statfs(dir)
	return uint32(s.Type), err
}

// Space returns how many bytes of the file system are free for this process,
// and how many there are in all. A quota of the user is not in it.
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

// allocate allocates blocks for the first size bytes of a file. The error is
// errors.ErrUnsupported where the file system cannot.
func allocate(f *os.File, size int64) error {
	err := error(syscall.EINTR)
	for errors.Is(err, syscall.EINTR) {
		err = syscall.Fallocate(int(f.Fd()), 0, 0, size)
	}
	return err
}

// Where SQLite keeps the lock that every connection holds, and the command for a
// lock that belongs to an open file rather than to the process.
const (
	sharedFirst = 0x40000002
	sharedSize  = 510
	setOFDLock  = 37 // F_OFD_SETLK
)

// PreventCheckpoint makes SQLite close its last connection without a checkpoint,
// until release is called.
//
// That checkpoint would write the WAL's pages into a main file that somebody has
// overwritten or truncated, and then delete the WAL. (Where the name leads to
// another file, SQLite leaves both alone by itself.) The driver does not export
// SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, and SQLITE_FCNTL_PERSIST_WAL keeps only the
// WAL. But SQLite checkpoints only if it gets an exclusive lock of the main file,
// and that fails while another open file has a shared one. Release closes a
// descriptor of the main file, so it must come after the connections' closing.
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

// InUse reports whether another open file has a lock on the database, as each SQLite
// connection has until it is closed.
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
