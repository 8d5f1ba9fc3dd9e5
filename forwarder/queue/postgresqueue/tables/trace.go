package tables

import (
	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// TraceColumns are the columns of ScanTrace, for table history with the alias h.
const TraceColumns = `h.seq, h.id, h.provider, h.type, h.subject, h.received_at, h.reason, h.ended_at, h.deliveries`

// ScanTrace returns the record in a row of TraceColumns.
func ScanTrace(rows pgx.Rows) (*Record, error) {
	r := &Record{Trace: true}
	var deliveries []byte
	if err := rows.Scan(&r.Seq, &r.ID, &r.Provider, &r.Type, &r.Subject, &r.ReceivedAt, &r.Reason, &r.EndedAt, &deliveries); err != nil {
		return nil, err
	}
	var err error
	r.Deliveries, err = policy.DecodeOutcomes(deliveries)
	return r, err
}

// The statements that load the traces with some seqs.
const (
	SelectTraces = `SELECT ` + TraceColumns + ` FROM scribegate.history h WHERE h.seq = ANY($1) AND h.ended_at > $2`
	insertTraces = `
		INSERT INTO scribegate.history (seq, id, provider, type, subject, received_at, reason, ended_at, deliveries)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[], $8::bigint[], $9::bytea[])`
	deleteTraces = `DELETE FROM scribegate.history h USING unnest($1::bigint[], $2::bigint[]) r(seq, ended_at) WHERE h.ended_at = r.ended_at AND h.seq = r.seq`
)

// traceRows are rows of table history, by column.
type traceRows struct {
	seqs                                     []int64
	ids, providers, types, subjects, reasons []string
	received, Ended                          []int64
	deliveries                               [][]byte
}

// Add adds the row of an event that is over.
func (r *traceRows) Add(seq int64, e *policy.Event) {
	r.seqs, r.ids, r.providers, r.types, r.subjects = append(r.seqs, seq), append(r.ids, e.ID), append(r.providers, e.Provider), append(r.types, e.Type), append(r.subjects, e.Subject)
	r.received, r.reasons, r.Ended = append(r.received, e.ReceivedAt), append(r.reasons, e.Reason), append(r.Ended, e.EndedAt)
	r.deliveries = append(r.deliveries, policy.AppendOutcomes([]byte{}, e.Deliveries))
}
