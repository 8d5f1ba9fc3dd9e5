package disk

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
)

const (
	reserveSuffix = ".reserve"
	reserveMax    = 8 << 20
	reservePart   = 16 // at most this fraction of the file system
	leastRoom     = 256 << 10
)

// ErrNoRoom means that there is too little free space for the reserve.
var ErrNoRoom = errors.New("too little space is free")

// A Reserve is a file of allocated blocks next to the database. When other data has
// filled the disk, the reserve is deleted, so that the outcomes of deliveries can be
// committed and the deliveries make room.
//
// SQLite returns code 13 (FULL) for a full disk, 778 (IOERR_WRITE) for an exceeded
// quota, and 4874 (IOERR_SHMSIZE) if there is not enough room for the shared-memory file. It
// then rolls back, and the same connection continues when there is room. A settled
// delivery that is committed alone needs 5 to 7 pages of WAL, so that 8 MiB are enough
// for about 300 of them. With a checkpoint every 1,000 pages, after which the WAL is
// reused, they are enough for any number: 10,000 of them needed 4.2 MB at most, in
// commits of 32 they needed 4.7 MB, of 256 6.3 MB, of 1,024 8.8 MB.
//
// A checkpoint needs room for the growth of the main file, which is at most the size of
// the WAL. If there is less free space, the checkpoint fails, and the main file has
// used all of it: nothing can be committed any more. So the WAL must not grow beyond
// half of the reserve before a checkpoint.
type Reserve struct {
	path string
	size int64

	space    func(dir string) (free, total uint64, err error)
	allocate func(f *os.File, size int64) error

	mu      sync.Mutex
	checked bool // whether this process has allocated the file's blocks
}

// NewReserve returns the reserve of a database. It does not create the file.
func NewReserve(path string, size int64) *Reserve {
	return &Reserve{path: path + reserveSuffix, size: size, space: Space, allocate: allocate}
}

// ReserveSize returns the size of the reserve for a file system of so many bytes.
func ReserveSize(total uint64) int64 {
	return int64(min(reserveMax, total/reservePart))
}

// Ensure creates the reserve's file if it is missing, provided that a quarter of its
// size stays free in addition. Otherwise it returns ErrNoRoom, or errors.ErrUnsupported
// if the free space is unknown.
func (r *Reserve) Ensure() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	there := r.exists()
	if there && r.checked {
		return nil
	}
	err := r.fill(there)
	if err != nil {
		err = fmt.Errorf("reserving %d bytes in %s: %w", r.size, r.path, err)
	}
	r.checked = err == nil
	return err
}

// Release deletes the reserve's file and reports whether there was one.
func (r *Reserve) Release() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checked = false
	// Truncating frees the blocks even if another program, such as a backup, has the
	// file open.
	_ = os.Truncate(r.path, 0)
	if os.Remove(r.path) != nil {
		return false
	}
	_ = SyncDir(filepath.Dir(r.path))
	return true
}

// Held reports whether the reserve's file exists.
func (r *Reserve) Held() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.exists()
}

func (r *Reserve) exists() bool {
	info, err := os.Lstat(r.path)
	return err == nil && info.Mode().IsRegular() && info.Size() == r.size
}

// fill creates the file, or allocates the blocks of an existing file: a copied file may
// have none.
func (r *Reserve) fill(there bool) (err error) {
	if r.size <= 0 {
		return ErrNoRoom
	}
	if !there {
		if err := os.Remove(r.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		free, _, err := r.space(filepath.Dir(r.path))
		if err != nil {
			return err
		}
		if free < uint64(r.size)+max(leastRoom, uint64(r.size)/4) {
			return fmt.Errorf("%w: %d bytes", ErrNoRoom, free)
		}
	}
	f, err := os.OpenFile(r.path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	err = r.allocate(f, r.size)
	if errors.Is(err, errors.ErrUnsupported) {
		if err = nil; !there {
			// A compressing file system would not allocate blocks for zeros.
			_, err = io.CopyN(f, rand.Reader, r.size)
		}
	}
	if err == nil {
		err = f.Sync()
	}
	err = errors.Join(err, f.Close())
	if err != nil {
		_ = os.Remove(r.path)
		return err
	}
	return SyncDir(filepath.Dir(r.path))
}
