package tables

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// Changes are the rows that a transaction writes, by column, so that one statement writes
// the rows of many events.
type Changes struct {
	Event      eventRows // inserted
	Changed    eventRows // updated
	Delivery   deliveryRows
	Redelivery deliveryRows // updated
	Ended      deliveryRows // of events that are over now
	Trace      traceRows
	Untraced   struct{ Seqs, Ended []int64 }
	Undeliver  struct {
		Seqs      []int64
		Upstreams []string
	}
	Payload, Completed struct {
		Seqs   []int64
		Sealed [][]byte
	}
	Deleted, Undelivered, Dropped []int64  // events, events with all their deliveries, payloads
	Freed                         []int64  // events whose deliveries this node no longer leases
	Known                         struct { // ids that another event takes over
		IDs         []string
		Before, Now []int64 // seqs
		Received    []int64
	}
	Forgotten, Buried []string // ids that are deleted, or kept without the event
	Purged            bool     // what other nodes may have in memory
	UsedAt, Horizon   int64
	Probe             bool
}

type eventRows struct {
	seqs                                     []int64
	ids, providers, types, subjects, reasons []string
	received, ended, sizes, keys             []int64
	states                                   []int16
}

// Add adds the row of an event.
func (r *eventRows) Add(seq int64, e *policy.Event) {
	r.seqs, r.ids, r.providers, r.types, r.subjects = append(r.seqs, seq), append(r.ids, e.ID), append(r.providers, e.Provider), append(r.types, e.Type), append(r.subjects, e.Subject)
	r.received, r.states, r.reasons = append(r.received, e.ReceivedAt), append(r.states, EventCode(e)), append(r.reasons, e.Reason)
	r.ended, r.sizes, r.keys = append(r.ended, e.EndedAt), append(r.sizes, e.Size), append(r.keys, KeyNumber(e.Key))
}

type deliveryRows struct {
	seqs, due      []int64
	upstreams      []string
	states         []int16
	attempts, used []int32
	histories      [][]byte
	nodes          []*int64 // of a new row the node that leases it; else the node that must still lease it
}

// Add adds the row of a delivery, with the node that leases it or 0.
func (r *deliveryRows) Add(seq int64, d *policy.Delivery, node int64) {
	r.seqs, r.upstreams, r.states, r.due = append(r.seqs, seq), append(r.upstreams, d.Upstream), append(r.states, DeliveryCode(d)), append(r.due, d.Due)
	r.attempts, r.used = append(r.attempts, int32(d.Attempts)), append(r.used, int32(d.Used))
	r.histories = append(r.histories, policy.AppendHistory([]byte{}, d.History))
	if node == 0 {
		r.nodes = append(r.nodes, nil)
	} else {
		r.nodes = append(r.nodes, &node)
	}
}

// Empty reports whether there is nothing to write.
func (c *Changes) Empty() bool {
	return len(c.Event.seqs)+len(c.Changed.seqs)+len(c.Delivery.seqs)+len(c.Redelivery.seqs)+len(c.Undeliver.Seqs)+
		len(c.Ended.seqs)+len(c.Trace.seqs)+len(c.Untraced.Seqs)+
		len(c.Payload.Seqs)+len(c.Completed.Seqs)+len(c.Deleted)+len(c.Undelivered)+len(c.Dropped)+len(c.Freed)+len(c.Known.IDs)+len(c.Forgotten)+len(c.Buried) == 0 &&
		c.UsedAt == 0 && c.Horizon == 0 && !c.Probe
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
	SetUsedAt  = `UPDATE scribegate.meta SET used_at = greatest(used_at, $1)`
	countPurge = `UPDATE scribegate.meta SET purges = purges + 1`
	setHorizon = `UPDATE scribegate.meta SET ended = $1 WHERE ended < $1`
)

// Queue queues the statements, those of a node. in returns a statement for the tables of the
// schema.
func (c *Changes) Queue(b *pgx.Batch, node int64, in func(string) string) {
	if len(c.Freed) > 0 {
		b.Queue(in(freeEvents), node, c.Freed)
	}
	if n := len(c.Undeliver.Seqs); n > 0 {
		b.Queue(in(deleteDeliveries), c.Undeliver.Seqs, c.Undeliver.Upstreams)
	}
	if r := &c.Ended; len(r.seqs) > 0 {
		b.Queue(in(deleteOver), r.seqs, r.upstreams, r.nodes)
	}
	if len(c.Undelivered) > 0 {
		b.Queue(in(deleteOfEvents), c.Undelivered)
	}
	if len(c.Deleted) > 0 {
		b.Queue(in(deleteEvents), c.Deleted)
	}
	if len(c.Dropped) > 0 {
		b.Queue(in(deletePayloads), slices.Concat(c.Dropped, make([]int64, len(c.Dropped))), slices.Concat(c.Dropped, c.Dropped)) // whichever slot they have
	}
	if r := &c.Untraced; len(r.Seqs) > 0 {
		b.Queue(in(deleteTraces), r.Seqs, r.Ended)
	}
	if r := &c.Trace; len(r.seqs) > 0 {
		b.Queue(in(insertTraces), r.seqs, r.ids, r.providers, r.types, r.subjects, r.received, r.reasons, r.Ended, r.deliveries)
	}
	if len(c.Forgotten) > 0 {
		b.Queue(in(forgetIDs), c.Forgotten)
	}
	if len(c.Buried) > 0 {
		b.Queue(in(buryIDs), c.Buried)
	}
	if len(c.Known.IDs) > 0 {
		b.Queue(in(updateKnown), c.Known.IDs, c.Known.Before, c.Known.Now, c.Known.Received)
	}
	if r := &c.Event; len(r.seqs) > 0 {
		b.Queue(in(insertEvents), r.seqs, r.ids, r.providers, r.types, r.subjects, r.received, r.states, r.reasons, r.ended, r.sizes, r.keys)
	}
	if len(c.Payload.Seqs) > 0 {
		b.Queue(in(insertPayloads), c.Payload.Seqs, c.Payload.Sealed)
	}
	if r := &c.Delivery; len(r.seqs) > 0 {
		b.Queue(in(insertDeliveries), r.seqs, r.upstreams, r.states, r.due, r.attempts, r.used, r.histories, r.nodes)
	}
	if r := &c.Changed; len(r.seqs) > 0 {
		b.Queue(in(updateEvents), r.seqs, r.states, r.reasons, r.ended, r.sizes, r.keys)
	}
	if len(c.Completed.Seqs) > 0 {
		b.Queue(in(updatePayloads), c.Completed.Seqs, c.Completed.Sealed)
	}
	if r := &c.Redelivery; len(r.seqs) > 0 {
		b.Queue(in(updateDeliveries), r.seqs, r.upstreams, r.states, r.due, r.attempts, r.used, r.histories, r.nodes)
	}
	if c.Purged {
		b.Queue(in(countPurge))
	}
	if c.UsedAt > 0 || c.Probe {
		b.Queue(in(SetUsedAt), c.UsedAt)
	}
	if c.Horizon > 0 {
		b.Queue(in(setHorizon), c.Horizon)
	}
}
