package postgresqueue

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// migrations are the changes of the schema, in order. The version of a store is the number
// of migrations that were applied to it. A migration never changes after a release.
var migrations = []string{schema1}

//go:embed schema1.sql
var schema1 string

// errRefused means that the store can never be used with these options.
var errRefused = errors.New("the store cannot be used")

// in returns a statement for the tables in a schema. Statements are written for the schema
// scribegate.
func (q *Queue) in(text string) string { return q.replacer.Replace(text) }

// newReplacer returns the replacer of in.
func newReplacer(schema string) *strings.Replacer {
	return strings.NewReplacer("scribegate.", pgx.Identifier{schema}.Sanitize()+".")
}

// migrate creates the schema, or updates it to this version. Nodes that start together
// do so one after the other.
func (q *Queue) migrate(ctx context.Context, c *pgx.Conn) error {
	return pgx.BeginFunc(ctx, c, func(t pgx.Tx) error {
		if _, err := t.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "scribegate schema "+q.options.Schema); err != nil {
			return err
		}
		var encoding string
		if err := t.QueryRow(ctx, `SELECT current_setting('server_encoding')`).Scan(&encoding); err != nil {
			return err
		}
		if encoding != "UTF8" {
			return fmt.Errorf("%w: the database has the encoding %s; create it with ENCODING 'UTF8'", errRefused, encoding)
		}
		var exists, made bool
		err := t.QueryRow(ctx, `
			SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = $1),
				EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = $1 AND c.relname = 'meta')`, q.options.Schema).Scan(&exists, &made)
		if err != nil {
			return err
		}
		if !exists {
			if _, err := t.Exec(ctx, `CREATE SCHEMA `+pgx.Identifier{q.options.Schema}.Sanitize()); err != nil {
				return fmt.Errorf("creating schema %s: %w; create it as the owner of the database: CREATE SCHEMA %[1]s AUTHORIZATION <role>", q.options.Schema, err)
			}
		}
		version, oldest := 0, 0
		if made {
			if err := t.QueryRow(ctx, q.in(`SELECT version, oldest FROM scribegate.meta`)).Scan(&version, &oldest); err != nil {
				return err
			}
		}
		if oldest > len(q.migrations) {
			return fmt.Errorf("%w: schema %s has version %d, and programs before version %d cannot use it; this one has version %d: update it", errRefused, q.options.Schema, version, oldest, len(q.migrations))
		}
		return q.migrateFrom(ctx, t, version)
	})
}

func (q *Queue) migrateFrom(ctx context.Context, t pgx.Tx, version int) error {
	for _, m := range q.migrations[min(version, len(q.migrations)):] { // a newer version has only added to it
		version++
		if _, err := t.Conn().PgConn().Exec(ctx, q.in(m)).ReadAll(); err != nil {
			return fmt.Errorf("updating schema %s to version %d: %w", q.options.Schema, version, err)
		}
		if _, err := t.Exec(ctx, q.in(`UPDATE scribegate.meta SET version = $1`), version); err != nil {
			return err
		}
	}
	return nil
}
