package postgresqueue

import (
	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// traceColumns are the columns of scanTrace, for table history with the alias h.
const traceColumns = `h.seq, h.id, h.provider, h.type, h.subject, h.received_at, h.reason, h.ended_at, h.deliveries`

func scanTrace(rows pgx.Rows) (*record, error) {
	r := &record{trace: true}
	var deliveries []byte
	if err := rows.Scan(&r.seq, &r.ID, &r.Provider, &r.Type, &r.Subject, &r.ReceivedAt, &r.Reason, &r.EndedAt, &deliveries); err != nil {
		return nil, err
	}
	var err error
	r.Deliveries, err = policy.DecodeOutcomes(deliveries)
	return r, err
}

// horizon returns the time at or before which the traces have ended whose retention is over.
// They count as deleted, whether their partition was dropped or not, and whatever the settings
// will be.
func (q *Queue) horizon() int64 {
	age, _ := q.ages()
	return max(q.ended.Load(), age-int64(policy.Retention(queue.Delivered, *q.settings.Load())))
}

// The statements that load the traces with some seqs.
const (
	selectTraces = `SELECT ` + traceColumns + ` FROM scribegate.history h WHERE h.seq = ANY($1) AND h.ended_at > $2`
	insertTraces = `
		INSERT INTO scribegate.history (seq, id, provider, type, subject, received_at, reason, ended_at, deliveries)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bytea[])`
	deleteTraces = `DELETE FROM scribegate.history h USING unnest($1::bigint[], $2::bigint[]) r(seq, ended_at) WHERE h.ended_at = r.ended_at AND h.seq = r.seq`
)

// queueTraces queues a statement that loads traces into all.
func (q *Queue) queueTraces(b *pgx.Batch, all map[int64]*record, text string, args ...any) {
	b.Queue(q.in(text), args...).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			r, err := scanTrace(rows)
			if err != nil {
				return err
			}
			all[r.seq] = r
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
	t.q.queueTraces(b, t.loaded, selectTraces, missing, t.q.horizon())
	return t.send(b)
}

// end moves an event that is over from the tables of events to the history.
func (t *tx) end(before, after *record) {
	c := &t.changes
	c.trace.add(after.seq, &after.Event)
	c.deleted = append(c.deleted, after.seq)
	if before.Size > 0 {
		c.dropped = append(c.dropped, after.seq)
	}
	for i := range before.Deliveries {
		d := &before.Deliveries[i]
		c.ended.add(after.seq, d, before.nodes[d.Upstream])
	}
	for i := range after.Deliveries {
		t.due(after.seq, &after.Deliveries[i])
	}
	t.gone(before, after)
}

// traceRows are rows of table history, by column.
type traceRows struct {
	seqs                                     []int64
	ids, providers, types, subjects, reasons []string
	received, ended                          []int64
	deliveries                               [][]byte
}

func (r *traceRows) add(seq int64, e *policy.Event) {
	r.seqs, r.ids, r.providers, r.types, r.subjects = append(r.seqs, seq), append(r.ids, e.ID), append(r.providers, e.Provider), append(r.types, e.Type), append(r.subjects, e.Subject)
	r.received, r.reasons, r.ended = append(r.received, e.ReceivedAt), append(r.reasons, e.Reason), append(r.ended, e.EndedAt)
	r.deliveries = append(r.deliveries, policy.AppendOutcomes([]byte{}, e.Deliveries))
}
