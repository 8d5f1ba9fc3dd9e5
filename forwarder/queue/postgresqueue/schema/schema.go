package schema

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// Migrations are the changes of the schema, in order. The version of a store is the number
// of migrations that were applied to it. A migration never changes after a release.
var Migrations = []string{schema1, schema2}

var (
	//go:embed schema1.sql
	schema1 string
	//go:embed schema2.sql
	schema2 string
)

// ErrRefused means that the store can never be used with these options.
var ErrRefused = errors.New("the store cannot be used")

// A Schema is a schema in a database.
type Schema struct {
	Migrations []string // default: Migrations

	name     string
	replacer *strings.Replacer
}

// New returns the schema with the name.
func New(name string) *Schema {
	return &Schema{Migrations: Migrations, name: name, replacer: strings.NewReplacer("scribegate.", pgx.Identifier{name}.Sanitize()+".")}
}

// In returns a statement for the tables in the schema. Statements are written for the schema
// scribegate.
func (s *Schema) In(text string) string { return s.replacer.Replace(text) }

// Migrate creates the schema, or updates it to this version. Nodes that start together
// do so one after the other.
func (s *Schema) Migrate(ctx context.Context, c *pgx.Conn) error {
	return pgx.BeginFunc(ctx, c, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "scribegate schema "+s.name); err != nil {
			return err
		}
		var encoding string
		if err := t.QueryRow(ctx, `SELECT current_setting('server_encoding')`).Scan(&encoding); err != nil {
			return err
		}
		if encoding != "UTF8" {
			return fmt.Errorf("%w: the database has the encoding %s; create it with ENCODING 'UTF8'", ErrRefused, encoding)
		}
		var exists, made bool
		err := t.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
				EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'meta')`, s.name).Scan(&exists, &made)
		if err != nil {
			return err
		}
		if !exists {
			if _, err := t.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{s.name}.Sanitize()); err != nil {
				return fmt.Errorf("creating schema %s: %w; create it as the owner of the database: CREATE SCHEMA %[1]s AUTHORIZATION <role>", s.name, err)
			}
		}
		version, oldest := 0, 0
		if made {
			if err := t.QueryRow(ctx, s.In(`SELECT version, oldest FROM scribegate.meta`)).Scan(&version, &oldest); err != nil {
				return err
			}
		}
		if oldest > len(s.Migrations) {
			return fmt.Errorf("%w: schema %s has version %d, and programs before version %d cannot use it; this one has version %d: update it", ErrRefused, s.name, version, oldest, len(s.Migrations))
		}
		return s.migrateFrom(ctx, t, version)
	})
}

func (s *Schema) migrateFrom(ctx context.Context, t pgx.Tx, version int) error {
	for _, m := range s.Migrations[min(version, len(s.Migrations)):] { // a newer version has only added to it
		version++
		if _, err := t.Conn().PgConn().Exec(ctx, s.In(m)).ReadAll(); err != nil {
			return fmt.Errorf("updating schema %s to version %d: %w", s.name, version, err)
		}
		if _, err := t.Exec(ctx, s.In(`UPDATE scribegate.meta SET version = $1`), version); err != nil {
			return err
		}
	}
	return nil
}
