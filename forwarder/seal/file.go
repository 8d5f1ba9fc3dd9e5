package seal

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// ReadFile returns the key in the file. The error wraps fs.ErrNotExist if the file does
// not exist.
func ReadFile(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("reading the key file: %w", err)
	}
	if !info.Mode().IsRegular() { // a FIFO would block
		return Key{}, fmt.Errorf("reading the key file %s: it is not a regular file", path)
	}
	b, err := os.ReadFile(path) // the path is from the configuration
	if err != nil {
		return Key{}, fmt.Errorf("reading the key file: %w", err)
	}
	k, err := ParseKey(strings.TrimSpace(string(b)))
	if err != nil {
		return Key{}, fmt.Errorf("reading the key file %s: %w", path, err)
	}
	return k, nil
}

// CreateFile stores a new key in a new file and returns it. The file has mode 0600,
// appears complete or not at all, and is on stable storage when CreateFile returns, so
// that a power failure never loses a key that has sealed a record. The error wraps
// fs.ErrExist if the path exists: CreateFile never replaces a key.
func CreateFile(path string) (Key, error) {
	k := NewKey()
	if err := writeNew(path, k.Encode()+"\n"); err != nil {
		return Key{}, fmt.Errorf("creating the key file %s: %w", path, err)
	}
	return k, nil
}

func writeNew(path, text string) error {
	if _, err := os.Lstat(path); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // mode 0600
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the names in a directory durable.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil // Windows cannot sync a directory
	}
	d, err := os.Open(dir) // the path is from the configuration
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
