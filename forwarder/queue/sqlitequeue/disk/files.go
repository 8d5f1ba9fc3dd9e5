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

// The names of a store's side files are its path with one of these behind it.
const (
	WAL = "-wal"
	SHM = "-shm" // shared memory: the index of the WAL
	Key = ".key" // the automatic key
)

// The names of temporary files are the store's path with one of these and a number
// behind it.
const (
	NewFile = ".new."  // becomes the store
	Copy    = ".copy." // of a backup
)

// CreateTemp makes a temporary file beside the store at the path, with mode 0600.
func CreateTemp(path, kind string) (*os.File, error) {
	return os.CreateTemp(filepath.Dir(path), filepath.Base(path)+kind+"*")
}

// RemoveTemp removes the temporary files of a process that died.
func RemoveTemp(path string) {
	entries, _ := os.ReadDir(filepath.Dir(path)) // what cannot be read stays
	for _, e := range entries {
		for _, kind := range []string{NewFile, Copy} {
			if strings.HasPrefix(e.Name(), filepath.Base(path)+kind) {
				_ = os.Remove(filepath.Join(filepath.Dir(path), e.Name()))
			}
		}
	}
}

// UnusedName returns the prefix with the time behind it, as a name that no file has.
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

// Replace puts a new file in the place of a damaged store, and returns where that is
// kept, with its WAL. A WAL that is left beside the new file, since the process ended
// here, belongs to another store.
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
