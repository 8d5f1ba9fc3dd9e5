package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// maxLinks is the maximum number of symbolic links in a path, as on Linux.
const maxLinks = 40

// ResolvePath returns the absolute path of a database file with every symbolic link
// resolved. The file and its directory need not exist: if the target of a link is
// missing, the result is the path of the target.
//
// SQLite creates its side files next to the name under which it opens the database. The
// key, the lock and the reserve are there too. All of them are named after the resolved
// path, so that they are on the volume of the database, and two names of one file are
// one store.
func ResolvePath(path string) (string, error) {
	resolved, err := resolve(path)
	if err != nil {
		return "", fmt.Errorf("resolving the path %s of the queue file: %w", path, err)
	}
	return resolved, nil
}

func resolve(path string) (string, error) {
	if path == "" {
		return "", errors.New("it is empty")
	}
	if !filepath.IsAbs(path) {
		dir, err := os.Getwd()
		if err != nil {
			return "", err
		}
		// filepath.Join would remove ".." after a link.
		path = dir + string(filepath.Separator) + path
	}
	root, rest := splitRoot(path)
	done := root
	links := 0
	for rest != "" {
		var name string
		name, rest = splitName(rest)
		switch name {
		case "", ".":
			continue
		case "..":
			done = filepath.Dir(done) // done has no links left
			continue
		}
		next := filepath.Join(done, name)
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			done = next
			continue
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink == 0:
			done = next
			continue
		}
		if links++; links > maxLinks {
			return "", errors.New("its symbolic links form a loop; change them to point to a file")
		}
		target, err := os.Readlink(next)
		if err != nil {
			return "", err
		}
		rest = target + string(filepath.Separator) + rest
		if filepath.IsAbs(target) {
			done, rest = splitRoot(rest)
		}
	}
	return done, nil
}

// splitRoot splits an absolute path after its root.
func splitRoot(path string) (root, rest string) {
	volume := filepath.VolumeName(path)
	return volume + string(filepath.Separator), path[len(volume):]
}

// splitName splits a path after its first name.
func splitName(path string) (name, rest string) {
	i := strings.IndexFunc(path, func(r rune) bool { return r < 0x80 && os.IsPathSeparator(uint8(r)) })
	if i < 0 {
		return path, ""
	}
	return path[:i], path[i+1:]
}

// MakeDir creates a directory and its missing parents, mode 0700, and syncs their names
// to stable storage.
func MakeDir(dir string) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	parent := filepath.Dir(dir)
	if parent == dir {
		return fmt.Errorf("creating the directory %s: %w", dir, fs.ErrNotExist)
	}
	if err := MakeDir(parent); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return SyncDir(parent)
}

// SyncDir syncs the names in a directory to stable storage.
func SyncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // a directory cannot be synced on this system
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
