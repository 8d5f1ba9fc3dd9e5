package postgresqueue

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// changes are the rows that a transaction writes, by column, so that one statement writes
// the rows of many events.
type changes struct {
	event      eventRows // inserted
	changed    eventRows // updated
	delivery   deliveryRows
	redelivery deliveryRows // updated
	ended      deliveryRows // of events that are over now
	trace      traceRows
	untraced   struct{ seqs, ended []int64 }
	undeliver  struct {
		seqs      []int64
		upstreams []string
	}
	payload, completed struct {
		seqs   []int64
		sealed [][]byte
	}
	deleted, undelivered, dropped []int64  // events, events with all their deliveries, payloads
	freed                         []int64  // events whose deliveries this node no longer leases
	known                         struct { // ids that another event takes over
		ids         []string
		before, now []int64 // seqs
		received    []int64
	}
	forgotten, buried []string // ids that are deleted, or kept without the event
	purged            bool     // what other nodes may have in memory
	usedAt, horizon   int64
	probe             bool
}

type eventRows struct {
	seqs                                     []int64
	ids, providers, types, subjects, reasons []string
	received, ended, sizes, keys             []int64
	states                                   []int16
}

func (r *eventRows) add(seq int64, e *policy.Event) {
	r.seqs, r.ids, r.providers, r.types, r.subjects = append(r.seqs, seq), append(r.ids, e.ID), append(r.providers, e.Provider), append(r.types, e.Type), append(r.subjects, e.Subject)
	r.received, r.states, r.reasons = append(r.received, e.ReceivedAt), append(r.states, eventCode(e)), append(r.reasons, e.Reason)
	r.ended, r.sizes, r.keys = append(r.ended, e.EndedAt), append(r.sizes, e.Size), append(r.keys, keyNumber(e.Key))
}

type deliveryRows struct {
	seqs, due      []int64
	upstreams      []string
	states         []int16
	attempts, used []int32
	histories      [][]byte
	nodes          []*int64 // of a new row the node that leases it; else the node that must still lease it
}

func (r *deliveryRows) add(seq int64, d *policy.Delivery, node int64) {
	r.seqs, r.upstreams, r.states, r.due = append(r.seqs, seq), append(r.upstreams, d.Upstream), append(r.states, deliveryCode(d)), append(r.due, d.Due)
	r.attempts, r.used = append(r.attempts, int32(d.Attempts)), append(r.used, int32(d.Used))
	r.histories = append(r.histories, policy.AppendHistory([]byte{}, d.History))
	if node == 0 {
		r.nodes = append(r.nodes, nil)
	} else {
		r.nodes = append(r.nodes, &node)
	}
}

func (c *changes) empty() bool {
	return len(c.event.seqs)+len(c.changed.seqs)+len(c.delivery.seqs)+len(c.redelivery.seqs)+len(c.undeliver.seqs)+
		len(c.ended.seqs)+len(c.trace.seqs)+len(c.untraced.seqs)+
		len(c.payload.seqs)+len(c.completed.seqs)+len(c.deleted)+len(c.undelivered)+len(c.dropped)+len(c.freed)+len(c.known.ids)+len(c.forgotten)+len(c.buried) == 0 &&
		c.usedAt == 0 && c.horizon == 0 && !c.probe
}

// The statements that write rows.
const (
	deleteDeliveries = `DELETE FROM scribegate.delivery d USING unnest($1::bigint[], $2::text[]) r(seq, upstream) WHERE d.seq = r.seq AND d.upstream = r.upstream`
	deleteOfEvents   = `DELETE FROM scribegate.delivery WHERE seq = ANY($1)`
	deleteEvents     = `DELETE FROM scribegate.event WHERE seq = ANY($1)`
	deletePayloads   = `DELETE FROM scribegate.payload p USING unnest($1::bigint[], $2::bigint[]) r(slot, seq) WHERE p.slot = r.slot AND p.seq = r.seq`
	deleteOver       = `WITH changed AS (
		DELETE FROM scribegate.delivery d USING unnest($1::bigint[], $2::text[], $3::bigint[]) r(seq, upstream, node)
		WHERE d.seq = r.seq AND d.upstream = r.upstream AND d.node IS NOT DISTINCT FROM r.node
		RETURNING 1)` + allChanged
	forgetIDs    = `DELETE FROM scribegate.known WHERE id = ANY($1)`
	buryIDs      = `UPDATE scribegate.known SET buried = true WHERE id = ANY($1)`
	insertEvents = `
		INSERT INTO scribegate.event (seq, id, provider, type, subject, received_at, state, reason, ended_at, size, key)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::smallint[], $8::text[], $9::bigint[], $10::bigint[], $11::bigint[])`
	updateEvents = `
		UPDATE scribegate.event e SET state = r.state, reason = r.reason, ended_at = r.ended_at, size = r.size, key = r.key
		FROM unnest($1::bigint[], $2::smallint[], $3::text[], $4::bigint[], $5::bigint[], $6::bigint[]) r(seq, state, reason, ended_at, size, key)
		WHERE e.seq = r.seq`
	insertPayloads   = `INSERT INTO scribegate.payload (slot, sealed, seq) SELECT r.seq, r.sealed, r.seq FROM unnest($1::bigint[], $2::bytea[]) r(seq, sealed)`
	updatePayloads   = `UPDATE scribegate.payload p SET sealed = r.sealed FROM unnest($1::bigint[], $2::bytea[]) r(seq, sealed) WHERE p.seq = r.seq AND p.slot IN (r.seq, 0)`
	insertDeliveries = `
		INSERT INTO scribegate.delivery (seq, upstream, state, due, attempts, used, history, node)
		SELECT * FROM unnest($1::bigint[], $2::text[], $3::smallint[], $4::bigint[], $5::integer[], $6::integer[], $7::bytea[], $8::bigint[])`
	updateDeliveries = `WITH changed AS (
		UPDATE scribegate.delivery d SET state = r.state, due = r.due, attempts = r.attempts, used = r.used, history = r.history, node = NULL
		FROM unnest($1::bigint[], $2::text[], $3::smallint[], $4::bigint[], $5::integer[], $6::integer[], $7::bytea[], $8::bigint[]) r(seq, upstream, state, due, attempts, used, history, node)
		WHERE d.seq = r.seq AND d.upstream = r.upstream AND d.node IS NOT DISTINCT FROM r.node
		RETURNING 1)` + allChanged
	updateKnown = `WITH changed AS (
		UPDATE scribegate.known k SET seq = r.now, received_at = r.received_at, buried = false
		FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[]) r(id, before, now, received_at) WHERE k.id = r.id AND k.seq = r.before
		RETURNING 1)` + allChanged

	// allChanged makes the transaction fail unless all rows were changed: one that was not
	// has been changed by another node since it was read.
	allChanged = ` SELECT 1 / (count(*) = cardinality($1))::int FROM changed`
	freeEvents = `UPDATE scribegate.delivery SET node = NULL WHERE node = $1 AND seq = ANY($2)`
	setUsedAt  = `UPDATE scribegate.meta SET used_at = greatest(used_at, $1)`
	countPurge = `UPDATE scribegate.meta SET purges = purges + 1`
	setHorizon = `UPDATE scribegate.meta SET ended = $1 WHERE ended < $1`
)

// queue queues the statements.
func (c *changes) queue(q *Queue, b *pgx.Batch) {
	if len(c.freed) > 0 {
		b.Queue(q.in(freeEvents), q.node.Load(), c.freed)
	}
	if n := len(c.undeliver.seqs); n > 0 {
		b.Queue(q.in(deleteDeliveries), c.undeliver.seqs, c.undeliver.upstreams)
	}
	if r := &c.ended; len(r.seqs) > 0 {
		b.Queue(q.in(deleteOver), r.seqs, r.upstreams, r.nodes)
	}
	if len(c.undelivered) > 0 {
		b.Queue(q.in(deleteOfEvents), c.undelivered)
	}
	if len(c.deleted) > 0 {
		b.Queue(q.in(deleteEvents), c.deleted)
	}
	if len(c.dropped) > 0 {
		b.Queue(q.in(deletePayloads), slices.Concat(c.dropped, make([]int64, len(c.dropped))), slices.Concat(c.dropped, c.dropped)) // whichever slot they have
	}
	if r := &c.untraced; len(r.seqs) > 0 {
		b.Queue(q.in(deleteTraces), r.seqs, r.ended)
	}
	if r := &c.trace; len(r.seqs) > 0 {
		b.Queue(q.in(insertTraces), r.seqs, r.ids, r.providers, r.types, r.subjects, r.received, r.reasons, r.ended, r.deliveries)
	}
	if len(c.forgotten) > 0 {
		b.Queue(q.in(forgetIDs), c.forgotten)
	}
	if len(c.buried) > 0 {
		b.Queue(q.in(buryIDs), c.buried)
	}
	if len(c.known.ids) > 0 {
		b.Queue(q.in(updateKnown), c.known.ids, c.known.before, c.known.now, c.known.received)
	}
	if r := &c.event; len(r.seqs) > 0 {
		b.Queue(q.in(insertEvents), r.seqs, r.ids, r.providers, r.types, r.subjects, r.received, r.states, r.reasons, r.ended, r.sizes, r.keys)
	}
	if len(c.payload.seqs) > 0 {
		b.Queue(q.in(insertPayloads), c.payload.seqs, c.payload.sealed)
	}
	if r := &c.delivery; len(r.seqs) > 0 {
		b.Queue(q.in(insertDeliveries), r.seqs, r.upstreams, r.states, r.due, r.attempts, r.used, r.histories, r.nodes)
	}
	if r := &c.changed; len(r.seqs) > 0 {
		b.Queue(q.in(updateEvents), r.seqs, r.states, r.reasons, r.ended, r.sizes, r.keys)
	}
	if len(c.completed.seqs) > 0 {
		b.Queue(q.in(updatePayloads), c.completed.seqs, c.completed.sealed)
	}
	if r := &c.redelivery; len(r.seqs) > 0 {
		b.Queue(q.in(updateDeliveries), r.seqs, r.upstreams, r.states, r.due, r.attempts, r.used, r.histories, r.nodes)
	}
	if c.purged {
		b.Queue(q.in(countPurge))
	}
	if c.usedAt > 0 || c.probe {
		b.Queue(q.in(setUsedAt), c.usedAt)
	}
	if c.horizon > 0 {
		b.Queue(q.in(setHorizon), c.horizon)
	}
}
