package postgresqueue

import (
	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

// horizon returns the time at or before which the traces have ended whose retention is over.
// They count as deleted, whether their partition was dropped or not, and whatever the settings
// will be.
func (q *Queue) horizon() int64 {
	age, _ := q.ages()
	return max(q.ended.Load(), age-int64(policy.Retention(queue.Delivered, *q.settings.Load())))
}

// queueLoad queues the statements that load events into all.
func (q *Queue) queueLoad(b *pgx.Batch, events string, arg any, all map[int64]*tables.Record) {
	b.Queue(q.in(events), arg).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			r, err := tables.ScanEvent(rows)
			if err != nil {
				return err
			}
			all[r.Seq] = r
		}
		return rows.Err()
	})
}

func (q *Queue) queueDeliveries(b *pgx.Batch, text string, arg any, all map[int64]*tables.Record) {
	b.Queue(q.in(text), arg).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := tables.ScanDelivery(rows, all); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}

// queueTraces queues a statement that loads traces into all.
func (q *Queue) queueTraces(b *pgx.Batch, all map[int64]*tables.Record, text string, args ...any) {
	b.Queue(q.in(text), args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			r, err := tables.ScanTrace(rows)
			if err != nil {
				return err
			}
			all[r.Seq] = r
		}
		return rows.Err()
	})
}

// lockAll locks events like lock, and loads the traces among them.
func (t *tx) lockAll(seqs []int64) error {
	if err := t.lock(seqs); err != nil {
		return err
	}
	var missing []int64
	for _, seq := range seqs {
		if _, changed := t.before[seq]; !changed && t.loaded[seq] == nil {
			missing = append(missing, seq)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	b := t.batch()
	t.q.queueTraces(b, t.loaded, tables.SelectTraces, missing, t.q.horizon())
	return t.send(b)
}
