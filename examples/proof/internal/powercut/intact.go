package powercut

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // the driver
)

// intact returns an error if SQLite's integrity check finds damage in a database with its WAL.
func intact(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", uri(path)+"?mode=rw")
	if err != nil {
		return fmt.Errorf("the database is damaged: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("the database is damaged: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("the database is damaged: %s", found)
	}
	return nil
}

// uri returns the URI of a file for SQLite.
func uri(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }
