package postgresqueue

import (
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A record is an event with its sequence number and the nodes that lease its deliveries.
type record struct {
	seq int64
	policy.Event
	nodes map[string]int64 // by upstream
	trace bool             // whether it is in table history
}

func (r *record) clone() *record { return &record{seq: r.seq, Event: *r.Event.Clone(), nodes: r.nodes} }

// The codes of an event's state, as in the schema.
const (
	eventPending int16 = iota
	eventDelivered
	eventDead
	eventQuarantined
	eventUnrouted
	eventUnconfirmed
)

var setAsideCodes = map[queue.State]int16{
	queue.Quarantined: eventQuarantined, queue.Unrouted: eventUnrouted, queue.Unconfirmed: eventUnconfirmed,
}

func setAsideOf(code int16) queue.State {
	for state, c := range setAsideCodes {
		if c == code {
			return state
		}
	}
	return ""
}

// eventCode returns the code of an event's state.
func eventCode(e *policy.Event) int16 {
	if e.SetAside != "" {
		return setAsideCodes[e.SetAside]
	}
	switch e.State() {
	case queue.Pending:
		return eventPending
	case queue.Dead:
		return eventDead
	default:
		return eventDelivered
	}
}

// The codes of a delivery's state, as in the schema.
const (
	deliveryFirst int16 = iota
	deliveryRetry
	deliveryDone
	deliveryDead
	deliveryBlocked
)

var pendingCodes = []int16{deliveryFirst, deliveryRetry, deliveryBlocked}

var deliveryStates = [...]queue.State{queue.Pending, queue.Pending, queue.Delivered, queue.Dead, queue.Pending}

func deliveryCode(d *policy.Delivery) int16 {
	switch {
	case d.Blocked:
		return deliveryBlocked
	case d.First():
		return deliveryFirst
	case d.State == queue.Pending:
		return deliveryRetry
	case d.State == queue.Delivered:
		return deliveryDone
	}
	return deliveryDead
}

// keyNumber returns a fingerprint as a number for a column.
func keyNumber(f seal.Fingerprint) int64 { return int64(binary.BigEndian.Uint64(f[:])) }

// fingerprint is the inverse of keyNumber.
func fingerprint(n int64) (f seal.Fingerprint) {
	binary.BigEndian.PutUint64(f[:], uint64(n))
	return f
}

// eventColumns are the columns of scanEvent, for a table with the alias e.
const eventColumns = `e.seq, e.id, e.provider, e.type, e.subject, e.received_at, e.state, e.reason, e.ended_at, e.size, e.key`

func scanEvent(rows pgx.Rows) (*record, error) {
	r := &record{}
	var state int16
	var key int64
	err := rows.Scan(&r.seq, &r.ID, &r.Provider, &r.Type, &r.Subject, &r.ReceivedAt, &state, &r.Reason, &r.EndedAt, &r.Size, &key)
	r.SetAside, r.Key = setAsideOf(state), fingerprint(key)
	return r, err
}

// deliveryColumns are the columns of scanDelivery, for a table with the alias d.
const deliveryColumns = `d.seq, d.upstream, d.state, d.due, d.attempts, d.used, d.history, d.node`

// scanDelivery adds a delivery to its record in all, if it is there.
func scanDelivery(rows pgx.Rows, all map[int64]*record) error {
	var seq int64
	var state int16
	var history []byte
	var node *int64
	d := policy.Delivery{}
	if err := rows.Scan(&seq, &d.Upstream, &state, &d.Due, &d.Attempts, &d.Used, &history, &node); err != nil {
		return err
	}
	r := all[seq]
	if r == nil {
		return nil
	}
	if state < 0 || int(state) >= len(deliveryStates) {
		return fmt.Errorf("event %s: a delivery has the unknown state %d", r.ID, state)
	}
	d.State, d.Blocked = deliveryStates[state], state == deliveryBlocked
	var err error
	if d.History, err = policy.DecodeHistory(history); err != nil {
		return fmt.Errorf("event %s: %w", r.ID, err)
	}
	r.Deliveries = append(r.Deliveries, d)
	if node != nil {
		if r.nodes == nil {
			r.nodes = make(map[string]int64)
		}
		r.nodes[d.Upstream] = *node
	}
	return nil
}

// The statements that load the events with some seqs.
const (
	selectEvents     = `SELECT ` + eventColumns + ` FROM scribegate.event e WHERE e.seq = ANY($1)`
	lockEvents       = selectEvents + ` ORDER BY e.seq FOR UPDATE`
	selectDeliveries = `SELECT ` + deliveryColumns + ` FROM scribegate.delivery d WHERE d.seq = ANY($1) ORDER BY d.seq, d.upstream`
)

// queueLoad queues the statements that load events into all.
func (q *Queue) queueLoad(b *pgx.Batch, events string, arg any, all map[int64]*record) {
	b.Queue(q.in(events), arg).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			r, err := scanEvent(rows)
			if err != nil {
				return err
			}
			all[r.seq] = r
		}
		return rows.Err()
	})
}

func (q *Queue) queueDeliveries(b *pgx.Batch, text string, arg any, all map[int64]*record) {
	b.Queue(q.in(text), arg).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			if err := scanDelivery(rows, all); err != nil {
				return err
			}
		}
		return rows.Err()
	})
}
