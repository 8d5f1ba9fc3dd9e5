package main

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
)

// walFile returns the path of the queue's WAL, and keyFile that of its automatic key.
func (r *rig) walFile() string { return r.queueFile() + "-wal" }

func (r *rig) keyFile() string { return r.queueFile() + ".key" }

// storeFiles are the suffixes of the names of a store's files.
var storeFiles = []string{"", "-wal", "-shm", "-journal", ".key", ".lock", ".reserve"}

// onlyStore returns an error if there is a file beside the queue's file that does not belong to the store.
func (r *rig) onlyStore() error {
	files, err := filepath.Glob(r.queueFile() + "*")
	if err != nil {
		return err
	}
	for _, file := range files {
		if !slices.Contains(storeFiles, strings.TrimPrefix(file, r.queueFile())) {
			return fmt.Errorf("the file %s is left", filepath.Base(file))
		}
	}
	return nil
}

// A snapshot is the bytes of a queue's file and of its WAL, which may be nil.
type snapshot struct{ main, wal []byte }

func (r *rig) snapshot() (s snapshot, err error) {
	if s.main, err = os.ReadFile(r.queueFile()); err != nil {
		return s, fmt.Errorf("copying the queue's file: %w", err)
	}
	if s.wal, err = os.ReadFile(r.walFile()); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return s, fmt.Errorf("copying the queue's WAL: %w", err)
	}
	return s, nil
}

// quietSnapshot returns a snapshot of an idle gateway, when its files no longer change.
func (r *rig) quietSnapshot(ctx context.Context) (s snapshot, err error) {
	err = eventually(ctx, "unchanged files of the queue", func() (bool, error) {
		var before snapshot
		if before, err = r.snapshot(); err != nil {
			return false, err
		}
		if err := sleep(ctx, 300*time.Millisecond); err != nil {
			return false, err
		}
		s, err = r.snapshot()
		return bytes.Equal(before.main, s.main) && bytes.Equal(before.wal, s.wal), err
	})
	return s, err
}

// writeTo writes a snapshot to a directory and returns the path of the main file.
func (s snapshot) writeTo(dir string) (string, error) {
	file := filepath.Join(dir, "queue.db")
	err := os.WriteFile(file, s.main, 0o600)
	if len(s.wal) > 0 {
		err = errors.Join(err, os.WriteFile(file+"-wal", s.wal, 0o600))
	}
	if err != nil {
		return "", fmt.Errorf("copying the queue's file: %w", err)
	}
	return file, nil
}

// query runs a query on a database file that no other process has open, and calls each for every row.
func query(ctx context.Context, file, text string, each func(*sql.Rows) error) (err error) {
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

// intact returns an error if SQLite's integrity check finds damage in a file.
func intact(ctx context.Context, file string) error {
	return query(ctx, file, "PRAGMA integrity_check(1)", func(rows *sql.Rows) error {
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
