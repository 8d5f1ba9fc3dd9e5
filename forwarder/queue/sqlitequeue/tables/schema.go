package tables

import (
	"context"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"sync"
)

// The root pages of the tables in every store. Nothing moves them: with auto_vacuum,
// root pages are in front of all others.
const (
	RootMeta     = 3
	RootEvent    = 6
	RootPayload  = 7
	RootDelivery = 8
)

// PageSize is that of the database's pages in bytes. On one of 4 KiB, one event of
// common size finds room and leaves half of it empty; on this one, four do.
const PageSize = 8192

// applicationID marks a database as one of ours: "Scgt".
const applicationID = 0x53636774

// migrations are the changes of the schema, in order. The version of a file is how many
// of them were applied to it. One is never changed after a release.
var migrations = []string{schema1}

//go:embed schema.sql
var schema1 string

// migrate brings the schema to this version.
func migrate(c *Conn, path string) error { return migrateBy(c, path, migrations) }

// migrateBy makes the migrations that are not made yet, each in a transaction.
func migrateBy(c *Conn, path string, migrations []string) error {
	version, err := c.Number(`PRAGMA user_version`)
	if err != nil {
		return err
	}
	if version > int64(len(migrations)) {
		return Refuse(path, "it is of version %d, and this program reads up to %d; open it with the newer program", version, len(migrations))
	}
	for _, m := range migrations[version:] {
		version++
		text := "BEGIN IMMEDIATE;\n" + m + "\nPRAGMA application_id=" + strconv.Itoa(applicationID) + ";\nPRAGMA user_version=" + strconv.FormatInt(version, 10) + ";\nCOMMIT"
		if err := c.Run(text); err != nil {
			_ = c.Run(`ROLLBACK`)
			return fmt.Errorf("bringing %s to version %d: %w", path, version, err)
		}
	}
	return nil
}

// A model is what every new store is like.
type model struct {
	schema string
	first  []byte // page
}

var newModel = sync.OnceValues(func() (m model, err error) {
	c, err := OpenEmpty(":memory:")
	if err != nil {
		return m, err
	}
	m.schema, err = schemaOf(c)
	if err == nil {
		err = c.Query(context.Background(), `SELECT data FROM sqlite_dbpage WHERE pgno = 1`, func(row []driver.Value) error {
			s := Scanner{Row: row}
			m.first = s.Blob()
			return s.Err()
		})
	}
	return m, errors.Join(err, c.Close())
})

// FirstPage returns the first page of a new store. It says where the tables are, which is
// the same in each.
func FirstPage() ([]byte, error) {
	m, err := newModel()
	return slices.Clone(m.first), err
}

// UseSchema returns an error unless the database is a store, and brings it to this
// version. Where all of the schema is as in a new one, the mark cannot have been changed
// but by damage.
func UseSchema(c *Conn, path string) error {
	model, err := newModel()
	if err != nil {
		return err
	}
	got, err := schemaOf(c)
	if err != nil {
		return err
	}
	id, err := c.Number(`PRAGMA application_id`)
	if err == nil && id != applicationID && got != model.schema {
		return errForeign(path)
	}
	if err == nil && id == applicationID {
		err = migrate(c, path)
	}
	if err == nil {
		got, err = schemaOf(c)
	}
	if err == nil && got != model.schema {
		err = fmt.Errorf("%w: its tables are not those of a store", ErrStructure)
	}
	return err
}

// schemaOf returns all of the schema, but for the tables that Litestream adds. The indexes
// of a copy are behind those, so their pages are others there.
func schemaOf(k *Conn) (all string, err error) {
	err = k.Query(context.Background(), `
		SELECT type, name, CASE type WHEN 'table' THEN rootpage END, sql FROM sqlite_schema
		WHERE name NOT IN ('_litestream_seq', '_litestream_lock')`, func(row []driver.Value) error {
		all += fmt.Sprint(row)
		return nil
	})
	return all, err
}
