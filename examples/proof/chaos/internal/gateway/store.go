package gateway

import (
	"bytes"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	_ "modernc.org/sqlite" // the driver

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
)

// WALFile returns the path of the queue's WAL.
func (r *Rig) WALFile() string { return r.QueueFile() + "-wal" }

// KeyFile returns the path of the queue's automatic key.
func (r *Rig) KeyFile() string { return r.QueueFile() + ".key" }

// storeFiles are the suffixes of the names of a store's files.
var storeFiles = []string{"", "-wal", "-shm", "-journal", ".key", ".lock", ".reserve"}

// OnlyStore returns an error if there is a file beside the queue's file that does not belong to the store.
func (r *Rig) OnlyStore() error {
	files, err := filepath.Glob(r.QueueFile() + "*")
	if err != nil {
		return err
	}
	for _, file := range files {
		if !slices.Contains(storeFiles, strings.TrimPrefix(file, r.QueueFile())) {
			return fmt.Errorf("the file %s is left", filepath.Base(file))
		}
	}
	return nil
}

// A Snapshot is the bytes of a queue's file and of its WAL, which may be nil.
type Snapshot struct{ Main, wal []byte }

// Snapshot returns the bytes of the files as they are now.
func (r *Rig) Snapshot() (s Snapshot, err error) {
	if s.Main, err = os.ReadFile(r.QueueFile()); err != nil {
		return s, fmt.Errorf("copying the queue's file: %w", err)
	}
	if s.wal, err = os.ReadFile(r.WALFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("copying the queue's WAL: %w", err)
	}
	return s, nil
}

// QuietSnapshot returns a snapshot of an idle gateway, when its files no longer change.
func (r *Rig) QuietSnapshot(ctx context.Context) (s Snapshot, err error) {
	err = await.Eventually(ctx, "unchanged files of the queue", func() (bool, error) {
		var before Snapshot
		if before, err = r.Snapshot(); err != nil {
			return false, err
		}
		if err := await.Sleep(ctx, 300*time.Millisecond); err != nil {
			return false, err
		}
		s, err = r.Snapshot()
		return bytes.Equal(before.Main, s.Main) && bytes.Equal(before.wal, s.wal), err
	})
	return s, err
}

// WriteTo writes a snapshot to a directory and returns the path of the main file.
func (s Snapshot) WriteTo(dir string) (string, error) {
	file := filepath.Join(dir, "queue.db")
	err := os.WriteFile(file, s.Main, 0o600)
	if len(s.wal) > 0 {
		err = errors.Join(err, os.WriteFile(file+"-wal", s.wal, 0o600))
	}
	if err != nil {
		return "", fmt.Errorf("copying the queue's file: %w", err)
	}
	return file, nil
}

// Query runs a query on a database file that no other process has open, and calls each for every row.
func Query(ctx context.Context, file, text string, each func(*sql.Rows) error) (err error) {
	db, err := sql.Open("sqlite", "file:"+(&url.URL{Path: file}).EscapedPath()+"?mode=rw")
	if err != nil {
		return fmt.Errorf("reading the queue's file: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, text)
	if err != nil {
		return fmt.Errorf("reading the queue's file: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return fmt.Errorf("reading the queue's file: %w", err)
		}
	}
	return rows.Err()
}

// Intact returns an error if SQLite's integrity check finds damage in a file.
func Intact(ctx context.Context, file string) error {
	return Query(ctx, file, "PRAGMA integrity_check(1)", func(rows *sql.Rows) error {
		var found string
		if err := rows.Scan(&found); err != nil {
			return err
		}
		if found != "ok" {
			return fmt.Errorf("the database is damaged: %s", found)
		}
		return nil
	})
}
