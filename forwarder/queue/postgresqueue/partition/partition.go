package partition

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
)

// A Table is a table that is partitioned by a column of type bigint.
type Table struct {
	Schema  string
	Name    string
	Options string // the storage parameters of a partition

	// Bound returns the value of the column at a time in milliseconds since 1970.
	Bound func(ms int64) int64
}

// A Partition is a partition of a table, or was one until it was detached. Its name has its
// bounds.
type Partition struct {
	Table    *Table
	From, To int64 // in milliseconds since 1970; To is excluded
	Attached bool
}

// Name returns the name of the partition's table.
func (p Partition) Name() string { return fmt.Sprintf("%s_%d_%d", p.Table.Name, p.From, p.To) }

// Identifier returns the name in a statement.
func (p Partition) Identifier() string { return p.Table.identifier(p.Name()) }

func (t *Table) identifier(name string) string { return pgx.Identifier{t.Schema, name}.Sanitize() }

// Covers reports whether the rows of a time in milliseconds belong to the partition.
func (p Partition) Covers(ms int64) bool { return p.Attached && p.From <= ms && ms < p.To }

// A Conn is a connection, a pool, or a transaction.
type Conn interface {
	Begin(ctx context.Context) (pgx.Tx, error)
	Query(ctx context.Context, text string, args ...any) (pgx.Rows, error)
}

const list = `
	SELECT c.relname, i.inhrelid IS NOT NULL
	FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
	WHERE n.nspname = $1 AND c.relkind = 'r' AND c.relname ~ ('^' || $2::text || '_[0-9]+_[0-9]+$')`

// List returns the partitions of the table, and those that were detached and not dropped, in
// order.
func (t *Table) List(ctx context.Context, c Conn) (all []Partition, err error) {
	rows, err := c.Query(ctx, list+` ORDER BY length(c.relname), c.relname`, t.Schema, t.Name)
	if err != nil {
		return nil, err
	}
	var name string
	p := Partition{Table: t}
	_, err = pgx.ForEachRow(rows, []any{&name, &p.Attached}, func() (err error) {
		from, to, _ := strings.Cut(strings.TrimPrefix(name, t.Name+"_"), "_")
		if p.From, err = strconv.ParseInt(from, 10, 64); err != nil {
			return err
		}
		if p.To, err = strconv.ParseInt(to, 10, 64); err != nil {
			return err
		}
		all = append(all, p)
		return nil
	})
	return all, err
}

// Create creates the partitions for the times in milliseconds for which there is none. They are
// of a width, unless another is in the way: other nodes may create wider ones or narrower ones.
func (t *Table) Create(ctx context.Context, c Conn, width time.Duration, times ...int64) error {
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if err := t.lock(ctx, tx); err != nil {
			return err
		}
		all, err := t.List(ctx, tx)
		if err != nil {
			return err
		}
		for _, ms := range times {
			p, needed := t.next(all, width.Milliseconds(), max(0, ms))
			if !needed {
				continue
			}
			if err := t.create(ctx, tx, p); err != nil {
				return err
			}
			all = append(all, p)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("creating a partition of table %s: %w", t.Name, err)
	}
	return nil
}

// lock makes the transaction wait for those of other nodes that create or detach partitions.
func (t *Table) lock(ctx context.Context, tx pgx.Tx) error {
	_, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock(hashtextextended($1, 0))`, "scribegate partitions "+t.Schema)
	return err
}

// next returns the partition to create for a time, beside all others.
func (t *Table) next(all []Partition, width, ms int64) (p Partition, needed bool) {
	from := ms / width * width
	p = Partition{Table: t, From: from, To: from + width, Attached: true}
	names := make(map[string]bool)
	for _, other := range all {
		names[other.Name()] = true
		switch {
		case other.Covers(ms):
			return p, false
		case !other.Attached:
		case other.To <= ms:
			p.From = max(p.From, other.To)
		default:
			p.To = min(p.To, other.From)
		}
	}
	for names[p.Name()] { // one that was detached, for another row of that time
		if p.From < ms {
			p.From++
		} else {
			p.To--
		}
	}
	return p, true
}

// create creates a partition. To create it apart and attach it needs no lock for which the
// writers of the table wait.
func (t *Table) create(ctx context.Context, tx pgx.Tx, p Partition) error {
	parent := t.identifier(t.Name)
	if _, err := tx.Exec(ctx, `CREATE TABLE `+p.Identifier()+` (LIKE `+parent+` INCLUDING ALL) WITH (`+t.Options+`)`); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, fmt.Sprintf(`ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (%d) TO (%d)`, parent, p.Identifier(), t.Bound(p.From), t.Bound(p.To)))
	return err
}
