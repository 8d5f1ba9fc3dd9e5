package partition

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// lockTimeout is how long detaching waits for others, and others wait for it.
	lockTimeout = `SET LOCAL lock_timeout TO '100ms'`

	// unreplicated makes a commit not wait for a standby, since all who use the table would
	// wait with it.
	unreplicated = `SET LOCAL synchronous_commit TO local`

	// briefly is how long a transaction may use a table without being in the way.
	briefly = 250 * time.Millisecond
)

// ErrInUse means that a partition cannot be detached or dropped now, since somebody uses the
// table.
var ErrInUse = errors.New("the table is in use")

const holders = `
	SELECT l.virtualtransaction FROM pg_locks l
	WHERE l.relation = ANY(ARRAY[to_regclass($1), to_regclass($2)]::oid[]) AND l.pid IS DISTINCT FROM pg_backend_pid()
		AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`

// Detach detaches the partition: the table has its rows no longer, and nothing can be written to
// it. It returns ErrInUse if that cannot be done within a moment, as while pg_dump runs: others that
// use the table wait as long as Detach does.
func (p Partition) Detach(ctx context.Context, c Conn) error {
	if err := p.unused(ctx, c); err != nil {
		return err
	}
	return p.change(ctx, c, `ALTER TABLE `+p.Table.identifier(p.Table.Name)+` DETACH PARTITION `+p.Identifier())
}

// Drop drops the partition, which must be detached.
func (p Partition) Drop(ctx context.Context, c Conn) error {
	return p.change(ctx, c, `DROP TABLE IF EXISTS `+p.Identifier())
}

func (p Partition) change(ctx context.Context, c Conn, text string) error {
	err := pgx.BeginFunc(ctx, c, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, lockTimeout); err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, unreplicated); err != nil {
			return err
		}
		if err := p.Table.lock(ctx, tx); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, text)
		return err
	})
	if e, ok := errors.AsType[*pgconn.PgError](err); ok && e.Code == "55P03" { // lock_not_available
		return ErrInUse
	}
	if err != nil {
		return fmt.Errorf("dropping partition %s: %w", p.Name(), err)
	}
	return nil
}

// unused returns ErrInUse if a transaction uses the table for longer than a moment.
func (p Partition) unused(ctx context.Context, c Conn) error {
	before, err := p.holders(ctx, c)
	if err != nil || len(before) == 0 {
		return err
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(briefly):
	}
	after, err := p.holders(ctx, c)
	for transaction := range after {
		if before[transaction] {
			return ErrInUse
		}
	}
	return err
}

// holders returns the transactions that use the table or the partition.
func (p Partition) holders(ctx context.Context, c Conn) (map[string]bool, error) {
	rows, err := c.Query(ctx, holders, p.Table.identifier(p.Table.Name), p.Identifier())
	if err != nil {
		return nil, err
	}
	all := make(map[string]bool)
	var transaction string
	_, err = pgx.ForEachRow(rows, []any{&transaction}, func() error {
		all[transaction] = true
		return nil
	})
	return all, err
}
