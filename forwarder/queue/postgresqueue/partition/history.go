package partition

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

// forgetStep is the number of ids that one transaction forgets.
const forgetStep = 1000

// DropHistory drops the partitions of traces whose retention is over. Once a partition is
// detached, no trace can be added to it; its ids count as buried from then on.
func (k *Keeper) DropHistory(ctx context.Context) error {
	all, err := k.History.List(ctx, k.Pool)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Attached {
			if p.Table.Bound(p.To)-1 > k.Horizon() {
				continue
			}
			if err := p.Detach(ctx, k.Pool); err != nil {
				return err
			}
		}
		if err := k.forget(ctx, p); err != nil {
			return err
		}
		if err := p.Drop(ctx, k.Pool); err != nil {
			return err
		}
	}
	return nil
}

// forgetIDs forgets the ids of some traces, and buries those that were received within the
// dedupe window. An id that another event has taken over stays.
const forgetIDs = `
	WITH ended AS MATERIALIZED (SELECT h.id, h.seq FROM scribegate.partition h WHERE h.seq > $1 ORDER BY h.seq LIMIT $2),
		forgotten AS (DELETE FROM scribegate.known k USING ended e WHERE k.id = e.id AND k.seq = e.seq AND k.received_at <= $3),
		buried AS (UPDATE scribegate.known k SET buried = true FROM ended e WHERE k.id = e.id AND k.seq = e.seq AND k.received_at > $3)
	SELECT count(*), coalesce(max(seq), 0) FROM ended`

// forget forgets the ids of a partition that is detached, some at a time.
func (k *Keeper) forget(ctx context.Context, p Partition) error {
	for last := int64(-1); ; {
		began, n := time.Now(), 0
		err := k.sweeping(ctx, p.Table, func(ctx context.Context, tx pgx.Tx) error {
			return tx.QueryRow(ctx, k.in(forgetIDs, p), last, forgetStep, k.Age()-int64(k.Window())).Scan(&n, &last)
		})
		if err != nil || n < forgetStep {
			return err
		}
		if err := sleep(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}
