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

// walFile is the WAL of the queue's file, and keyFile its automatic key.
func (r *rig) walFile() string { return r.queueFile() + "-wal" }

func (r *rig) keyFile() string { return r.queueFile() + ".key" }

// storeFiles are the endings of the names that a store's files have, behind that of
// the main file.
var storeFiles = []string{"", "-wal", "-shm", "-journal", ".key", ".lock", ".reserve"}

// onlyStore returns an error where beside the queue's file there is one that should
// not have been left behind.
func (r *rig) onlyStore() error {
	files, err := filepath.Glob(r.queueFile() + "*")
	if err != nil {
		return err
	}
	for _, file := range files {
		if !slices.Contains(storeFiles, strings.TrimPrefix(file, r.queueFile())) {
			return fmt.Errorf("%s was left behind", filepath.Base(file))
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

// quietSnapshot copies the queue's files of a gateway that has nothing to do, once
// they change no more.
func (r *rig) quietSnapshot(ctx context.Context) (s snapshot, err error) {
	err = eventually(ctx, "the queue's files to change no more", func() (bool, error) {
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

// writeTo writes the files of a snapshot into a directory and returns the main one.
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

// query runs a query on a database file that nobody else has open, and calls each
// with its rows.
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

// intact returns an error unless the database in a file agrees with itself.
func intact(ctx context.Context, file string) error {
	return query(ctx, file, "PRAGMA integrity_check(1)", func(rows *sql.Rows) error {
		var found string
		if err := rows.Scan(&found); err != nil {
			return err
		}
		if found != "ok" {
			return fmt.Errorf("the database is not sound: %s", found)
		}
		return nil
	})
}
