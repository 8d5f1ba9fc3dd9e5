package partition

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const (
	// perRetention is the number of partitions in the time for which traces are kept.
	perRetention = 16

	minWidth = time.Minute
)

// A Keeper creates and drops the partitions of tables history and payload. Times of nodes are by
// the database's clock, in nanoseconds since 1970.
type Keeper struct {
	Pool     Conn
	History  *Table // of traces, by the time at which they ended
	Payloads *Table // by the time at which they were stored

	In        func(text string) string // returns a statement for the tables of the schema
	Retention func() time.Duration     // of traces
	Window    func() time.Duration     // in which ids are remembered
	Now       func() int64
	Age       func() int64 // the earliest possible time
	Horizon   func() int64 // traces that ended then or before are over

	// Begin begins to use a connection of the pool, and returns a function to call at the end. It
	// may wait.
	Begin func(context.Context) (_ context.Context, end func(), err error)
}

// Every returns how often to call Ahead, DropHistory and DropPayloads.
func (k *Keeper) Every() time.Duration { return min(k.width()/4, time.Minute) }

// width returns the time of a partition.
func (k *Keeper) width() time.Duration {
	return max(k.Retention()/perRetention, minWidth).Truncate(time.Millisecond)
}

// milliseconds returns a time in milliseconds.
func milliseconds(nanos int64) int64 { return nanos / int64(time.Millisecond) }

// Ahead creates the partitions for now and for the time that follows.
func (k *Keeper) Ahead(ctx context.Context, c Conn) error {
	now, width := milliseconds(k.Now()), k.width()
	for _, t := range []*Table{k.History, k.Payloads} {
		all, err := t.List(ctx, c)
		if err != nil {
			return err
		}
		var missing []int64
		for _, ms := range []int64{now, now + width.Milliseconds()} {
			if _, needed := t.next(all, width.Milliseconds(), ms); needed {
				missing = append(missing, ms)
			}
		}
		if len(missing) == 0 {
			continue
		}
		if err := t.Create(ctx, c, width, missing...); err != nil {
			return err
		}
	}
	return nil
}

// CreateFor creates the partitions for traces that ended, and for payloads that were stored, at
// some times in nanoseconds.
func (k *Keeper) CreateFor(ctx context.Context, ended, stored []int64) error {
	for t, nanos := range map[*Table][]int64{k.History: ended, k.Payloads: stored} {
		times := make([]int64, 0, len(nanos))
		for _, at := range nanos {
			times = append(times, milliseconds(at))
		}
		if err := t.Create(ctx, k.Pool, k.width(), times...); err != nil {
			return err
		}
	}
	return nil
}

// Lacking reports whether a row could not be inserted since there is no partition for it.
func Lacking(err error) bool {
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && e.Code == "23514" // check_violation, of which there is no other
}

// errElsewhere means that another node sweeps the partitions of the table now.
var errElsewhere = errors.New("another node drops partitions now")

// Passing reports whether an error of a Keeper is due to others who use the tables, or to
// another node that does the same.
func Passing(err error) bool {
	if errors.Is(err, ErrInUse) || errors.Is(err, errElsewhere) {
		return true
	}
	e, ok := errors.AsType[*pgconn.PgError](err)
	return ok && (e.Code == "42P01" || e.Code == "55P03") // undefined table, lock not available
}

// sweeping makes a change in a transaction of its own, unless another node does so for the
// table.
func (k *Keeper) sweeping(ctx context.Context, t *Table, change func(context.Context, pgx.Tx) error) error {
	ctx, end, err := k.Begin(ctx)
	if err != nil {
		return err
	}
	defer end()
	return pgx.BeginFunc(ctx, k.Pool, func(tx pgx.Tx) error {
		var mine bool
		if err := tx.QueryRow(ctx, `SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))`, "scribegate sweep "+t.Name+" "+t.Schema).Scan(&mine); err != nil {
			return err
		}
		if !mine {
			return errElsewhere
		}
		return change(ctx, tx)
	})
}

// in returns a statement in which table partition stands for the partition.
func (k *Keeper) in(text string, p Partition) string {
	return k.In(strings.ReplaceAll(text, "scribegate.partition", "scribegate."+p.Name()))
}

// sleep waits, so that a long sweep leaves the database time for others.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return fmt.Errorf("sweeping: %w", ctx.Err())
	case <-time.After(d):
		return nil
	}
}
