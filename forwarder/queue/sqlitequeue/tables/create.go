package tables

import (
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/disk"
)

// Create creates an empty store. The file appears complete or not at all, and does not
// replace a file that another process has just created.
func Create(path string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("creating %s: %w", path, err)
		}
	}()
	dir := filepath.Dir(path)
	temp, err := disk.CreateTemp(path, disk.NewFile)
	if err != nil {
		return err
	}
	defer os.Remove(temp.Name())
	if err := temp.Close(); err != nil {
		return err
	}
	c, err := OpenEmpty(temp.Name(), writerPragmas...)
	if err != nil {
		return err
	}
	if err := errors.Join(InsertMeta(c, &Meta{Identity: NewIdentity(), Path: path}), c.Close()); err != nil {
		return err
	}
	f, err := os.Open(temp.Name())
	if err != nil {
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(temp.Name(), path); err != nil {
		return err
	}
	return disk.SyncDir(dir)
}

// OpenEmpty opens a connection to an empty file, or to a database in memory, and
// creates the tables without rows.
func OpenEmpty(path string, pragmas ...string) (*Conn, error) {
	c, err := Open(path, url.Values{}, slices.Concat(createPragmas, pragmas)...)
	if err != nil {
		return nil, err
	}
	if err := migrate(c, path); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// UnsafePragmas are for a database that is useless unless it is complete.
var UnsafePragmas = []string{`PRAGMA journal_mode=OFF`, `PRAGMA synchronous=OFF`, `PRAGMA cache_size=-8192`, `PRAGMA temp_store=MEMORY`}

// NewIdentity returns the identity of a new store.
func NewIdentity() Identity {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails; without randomness the process ends
	return Identity{Store: string(b)}
}
