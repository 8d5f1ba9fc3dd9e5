package powercut

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // the driver
)

// sound returns an error unless the database in a file agrees with itself. It reads
// the database as SQLite does, with what is in the WAL.
func sound(ctx context.Context, path string) (err error) {
	db, err := sql.Open("sqlite", uri(path)+"?mode=rw")
	if err != nil {
		return fmt.Errorf("the database is not sound: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	var found string
	if err := db.QueryRowContext(ctx, "PRAGMA integrity_check(1)").Scan(&found); err != nil {
		return fmt.Errorf("the database is not sound: %w", err)
	}
	if found != "ok" {
		return fmt.Errorf("the database is not sound: %s", found)
	}
	return nil
}

// uri is a file's name as SQLite reads it.
func uri(path string) string { return "file:" + (&url.URL{Path: path}).EscapedPath() }
