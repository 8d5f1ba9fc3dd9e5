package partition

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// few is how many payloads are moved out of a partition as soon as its time is over. With
	// more, it is kept for as long as traces are.
	few = 10_000

	// moveStep is the number of payloads that one transaction moves.
	moveStep = 200
)

// DropPayloads drops the partitions of payloads whose time is over and that are empty. It moves
// what is left in one that is old, or that has few rows.
func (k *Keeper) DropPayloads(ctx context.Context) error {
	all, err := k.Payloads.List(ctx, k.Pool)
	if err != nil {
		return err
	}
	for _, p := range all {
		if p.Attached {
			emptied, err := k.empty(ctx, p)
			if err != nil {
				return err
			}
			if !emptied {
				continue
			}
			if err := p.Detach(ctx, k.Pool); err != nil {
				return err
			}
		}
		if err := k.dropDetached(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// empty moves the payloads of a partition to the one that is never dropped, unless its time is
// not over or it is too early to move so many. It reports whether none is left.
func (k *Keeper) empty(ctx context.Context, p Partition) (bool, error) {
	over := time.Duration(k.Age() - p.To*int64(time.Millisecond))
	if over < k.width() {
		return false, nil
	}
	if over < k.Retention() {
		n, err := k.count(ctx, p)
		if err != nil || n > few {
			return false, err
		}
	}
	return true, k.move(ctx, p)
}

// count counts the rows of a partition, up to one more than few.
func (k *Keeper) count(ctx context.Context, p Partition) (n int, err error) {
	ctx, end, err := k.Begin(ctx)
	if err != nil {
		return 0, err
	}
	defer end()
	rows, err := k.Pool.Query(ctx, k.in(`SELECT count(*) FROM (SELECT FROM scribegate.partition ORDER BY seq LIMIT $1) p`, p), few+1)
	if err != nil {
		return 0, err
	}
	return pgx.CollectExactlyOneRow(rows, pgx.RowTo[int])
}

const (
	selectPayloads = `SELECT p.seq FROM scribegate.partition p WHERE p.seq > $1 ORDER BY p.seq LIMIT $2`

	// lockEvents locks the events of payloads, as every change of a payload does.
	lockEvents = `SELECT FROM scribegate.event e WHERE e.seq = ANY($1) ORDER BY e.seq FOR UPDATE`

	movePayloads = `UPDATE scribegate.payload p SET slot = 0 FROM unnest($1::bigint[], $1::bigint[]) r(slot, seq) WHERE p.slot = r.slot AND p.seq = r.seq`

	// rescuePayloads moves what was stored in a partition after it was found empty.
	rescuePayloads = `INSERT INTO scribegate.payload (slot, seq, sealed) SELECT 0, p.seq, p.sealed FROM scribegate.partition p ON CONFLICT DO NOTHING`
)

// move moves the payloads of a partition, some at a time.
func (k *Keeper) move(ctx context.Context, p Partition) error {
	for last := int64(0); ; {
		began := time.Now()
		var seqs []int64
		err := k.sweeping(ctx, p.Table, func(ctx context.Context, tx pgx.Tx) error {
			rows, err := tx.Query(ctx, k.in(selectPayloads, p), last, moveStep)
			if err != nil {
				return err
			}
			if seqs, err = pgx.CollectRows(rows, pgx.RowTo[int64]); err != nil || len(seqs) == 0 {
				return err
			}
			if _, err := tx.Exec(ctx, k.In(lockEvents), seqs); err != nil {
				return err
			}
			_, err = tx.Exec(ctx, k.In(movePayloads), seqs)
			return err
		})
		if err != nil || len(seqs) == 0 {
			return err
		}
		last = seqs[len(seqs)-1]
		if err := sleep(ctx, time.Since(began)); err != nil {
			return err
		}
	}
}

// dropDetached drops a partition that is detached.
func (k *Keeper) dropDetached(ctx context.Context, p Partition) error {
	return k.sweeping(ctx, p.Table, func(ctx context.Context, tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, k.in(rescuePayloads, p)); err != nil {
			return err
		}
		_, err := tx.Exec(ctx, k.in(`DROP TABLE scribegate.partition`, p))
		return err
	})
}
