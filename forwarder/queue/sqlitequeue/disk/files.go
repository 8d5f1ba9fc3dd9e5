package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// The name of a side file is the store's path followed by one of these.
const (
	WAL = "-wal"
	SHM = "-shm" // shared memory: the index of the WAL
	Key = ".key" // the automatic key
)

// The name of a temporary file is the store's path followed by one of these and a
// number.
const (
	NewFile = ".new."  // becomes the store
	Copy    = ".copy." // of a backup
)

// CreateTemp creates a temporary file next to the store at the path, with mode 0600.
func CreateTemp(path, kind string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), filepath.Base(path)+kind+"*")
}

// RemoveTemp removes the temporary files that a crashed process left.
func RemoveTemp(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path)) // if the directory is unreadable, the files stay
	for _, e := range entries {
		for _, kind := range []string{NewFile, Copy} {
			if strings.HasPrefix(e.Name(), filepath.Base(path)+kind) {
				_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
			}
		}
	}
}

// UnusedName returns an unused file name: the prefix followed by the time.
func UnusedName(prefix string) string {
	now := time.Now().UTC().Format("20060102T150405Z")
	name := prefix + now
	for i := 2; ; i++ {
		if _, err := os.Lstat(name); errors.Is(err, fs.ErrNotExist) {
			return name
		}
		name = fmt.Sprintf("%s%s-%d", prefix, now, i)
	}
}

// Replace replaces a damaged store by a new file, and returns the path under which the
// damaged store is kept with its WAL. If the process ends during Replace, a WAL that is
// left next to the new file belongs to another store.
func Replace(path, file string) (kept string, err error) {
	kept = UnusedName(path + ".damaged-")
	info, err := os.Stat(path)
	if err == nil {
		err = CopyOwner(file, info)
	}
	if err == nil {
		err = os.Link(path, kept)
	}
	if err == nil {
		if log, logErr := os.Stat(path + WAL); logErr == nil && log.Size() > 0 {
			err = os.Link(path+WAL, kept+WAL)
		}
	}
	if err == nil {
		err = os.Rename(file, path)
	}
	if err != nil {
		return kept, err
	}
	for _, side := range []string{WAL, SHM} {
		if err := os.Remove(path + side); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return kept, err
		}
	}
	return kept, SyncDir(filepath.Dir(path))
}
