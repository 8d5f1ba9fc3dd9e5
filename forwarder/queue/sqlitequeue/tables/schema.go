package tables

import (
	"context"
	"database/sql/driver"
	_ "embed"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"sync"
)

// The root pages of the tables, the same in every store. They never move: with
// auto_vacuum, root pages come before all other pages.
const (
	RootMeta     = 3
	RootEvent    = 6
	RootPayload  = 7
	RootDelivery = 8
)

// PageSize is the size of the database's pages in bytes. A page of 4 KiB has room for
// only one event of common size and stays half empty; a page of this size has room for
// four.
const PageSize = 8192

// applicationID marks a database as a store: "Scgt".
const applicationID = 0x53636774

// migrations are the changes of the schema, in order. The version of a file is the
// number of migrations that were applied to it. A migration never changes after a
// release, including the comments within its statements: SQLite stores them, and
// UseSchema compares them.
var migrations = []string{schema1, schema2}

var (
	//go:embed schema1.sql
	schema1 string
	//go:embed schema2.sql
	schema2 string
)

// migrate updates the schema to this version.
func migrate(c *Conn, path string) error { return migrateBy(c, path, migrations) }

// migrateBy applies the missing migrations, each in a transaction.
func migrateBy(c *Conn, path string, migrations []string) error {
	version, err := versionOf(c, path, len(migrations))
	if err != nil {
		return err
	}
	for _, m := range migrations[version:] {
		version++
		text := "BEGIN IMMEDIATE;\n" + m + "\nPRAGMA application_id=" + strconv.Itoa(applicationID) + ";\nPRAGMA user_version=" + strconv.FormatInt(version, 10) + ";\nCOMMIT"
		if err := c.Run(text); err != nil {
			_ = c.Run(`ROLLBACK`)
			return fmt.Errorf("updating %s to version %d: %w", path, version, err)
		}
	}
	return nil
}

// versionOf returns the version of a store, or an error if it is newer than the newest one.
func versionOf(c *Conn, path string, newest int) (int64, error) {
	version, err := c.Number(`PRAGMA user_version`)
	if err == nil && version > int64(newest) {
		err = Refuse(path, "it has version %d, but this program supports versions up to %d; open it with the newer program", version, newest)
	}
	return version, err
}

// A model describes a new store.
type model struct {
	schema string
	first  []byte // the first page
}

// newModel returns the model of this version.
var newModel = sync.OnceValues(func() (model, error) { return modelOf(int64(len(migrations))) })

// modelOf returns the model of a version.
func modelOf(version int64) (m model, err error) {
	c, err := Open(":memory:", url.Values{}, createPragmas...)
	if err != nil {
		return m, err
	}
	if err := migrateBy(c, ":memory:", migrations[:version]); err != nil {
		return m, errors.Join(err, c.Close())
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
}

// FirstPage returns the first page of a new store. It contains the root pages of the
// tables, which are the same in every store.
func FirstPage() ([]byte, error) {
	m, err := newModel()
	return slices.Clone(m.first), err
}

// UseSchema returns an error unless the database is a store, and updates it to this
// version. If only the application id is wrong and the whole schema is right, the
// database is a damaged store.
func UseSchema(c *Conn, path string) error {
	err := CheckSchema(c, path)
	if err == nil {
		err = migrate(c, path)
	}
	return err
}

// CheckSchema is UseSchema without the update: the database may be a store of an older version.
func CheckSchema(c *Conn, path string) error {
	got, err := schemaOf(c)
	if err != nil {
		return err
	}
	version, err := c.Number(`PRAGMA user_version`)
	if err != nil {
		return err
	}
	id, err := c.Number(`PRAGMA application_id`)
	if err == nil && id == applicationID {
		_, err = versionOf(c, path, len(migrations))
	}
	if err != nil {
		return err
	}
	model, err := modelOf(min(max(version, 0), int64(len(migrations))))
	if err == nil && got != model.schema {
		if id != applicationID {
			return errForeign(path)
		}
		err = fmt.Errorf("%w: its schema is not that of a store", ErrStructure)
	}
	return err
}

// schemaOf returns the whole schema, except the tables that Litestream adds. It omits
// the root pages of indexes, which differ in a copy that has Litestream's tables.
func schemaOf(k *Conn) (all string, err error) {
	err = k.Query(context.Background(), `
		SELECT type, name, CASE type WHEN 'table' THEN rootpage END, sql FROM sqlite_schema
		WHERE name NOT IN ('_litestream_seq', '_litestream_lock')`, func(row []driver.Value) error {
		all += fmt.Sprint(row)
		return nil
	})
	return all, err
}
