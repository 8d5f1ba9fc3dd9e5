package tables

import (
	"encoding/binary"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A Record is an event with its sequence number and the nodes that lease its deliveries.
type Record struct {
	Seq int64
	policy.Event
	Nodes map[string]int64 // by upstream
	Trace bool             // whether it is in table history
}

// Clone returns a copy that can be changed.
func (r *Record) Clone() *Record { return &Record{Seq: r.Seq, Event: *r.Event.Clone(), Nodes: r.Nodes} }

// The codes of an event's state, as in the schema.
const (
	eventPending int16 = iota
	EventDelivered
	eventDead
	eventQuarantined
	eventUnrouted
	EventUnconfirmed
)

// SetAsideCodes maps the states of events that are set aside to their codes.
var SetAsideCodes = map[queue.State]int16{
	queue.Quarantined: eventQuarantined, queue.Unrouted: eventUnrouted, queue.Unconfirmed: EventUnconfirmed,
}

// SetAsideOf returns the state of an event that is set aside by its code, or "".
func SetAsideOf(code int16) queue.State {
	for state, c := range SetAsideCodes {
		if c == code {
			return state
		}
	}
	return ""
}

// EventCode returns the code of an event's state.
func EventCode(e *policy.Event) int16 {
	if e.SetAside != "" {
		return SetAsideCodes[e.SetAside]
	}
	switch e.State() {
	case queue.Pending:
		return eventPending
	case queue.Dead:
		return eventDead
	default:
		return EventDelivered
	}
}

// The codes of a delivery's state, as in the schema.
const (
	DeliveryFirst int16 = iota
	DeliveryRetry
	deliveryDone
	DeliveryDead
	DeliveryBlocked
)

// PendingCodes are the codes of pending deliveries.
var PendingCodes = []int16{DeliveryFirst, DeliveryRetry, DeliveryBlocked}

// DeliveryStates maps a code to its state.
var DeliveryStates = [...]queue.State{queue.Pending, queue.Pending, queue.Delivered, queue.Dead, queue.Pending}

// DeliveryCode returns the code of a delivery's state.
func DeliveryCode(d *policy.Delivery) int16 {
	switch {
	case d.Blocked:
		return DeliveryBlocked
	case d.First():
		return DeliveryFirst
	case d.State == queue.Pending:
		return DeliveryRetry
	case d.State == queue.Delivered:
		return deliveryDone
	}
	return DeliveryDead
}

// KeyNumber returns a fingerprint as a number for a column.
func KeyNumber(f seal.Fingerprint) int64 { return int64(binary.BigEndian.Uint64(f[:])) }

// Fingerprint is the inverse of KeyNumber.
func Fingerprint(n int64) (f seal.Fingerprint) {
	binary.BigEndian.PutUint64(f[:], uint64(n))
	return f
}

// EventColumns are the columns of ScanEvent, for a table with the alias e.
const EventColumns = `e.seq, e.id, e.provider, e.type, e.subject, e.received_at, e.state, e.reason, e.ended_at, e.size, e.key`

// ScanEvent returns the record in a row of EventColumns, without its deliveries.
func ScanEvent(rows pgx.Rows) (*Record, error) {
	r := &Record{}
	var state int16
	var key int64
	err := rows.Scan(&r.Seq, &r.ID, &r.Provider, &r.Type, &r.Subject, &r.ReceivedAt, &state, &r.Reason, &r.EndedAt, &r.Size, &key)
	r.SetAside, r.Key = SetAsideOf(state), Fingerprint(key)
	return r, err
}

// DeliveryColumns are the columns of ScanDelivery, for a table with the alias d.
const DeliveryColumns = `d.seq, d.upstream, d.state, d.due, d.attempts, d.used, d.history, d.node`

// ScanDelivery adds a delivery to its record in all, if it is there.
func ScanDelivery(rows pgx.Rows, all map[int64]*Record) error {
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
	if state < 0 || int(state) >= len(DeliveryStates) {
		return fmt.Errorf("event %s: a delivery has the unknown state %d", r.ID, state)
	}
	d.State, d.Blocked = DeliveryStates[state], state == DeliveryBlocked
	var err error
	if d.History, err = policy.DecodeHistory(history); err != nil {
		return fmt.Errorf("event %s: %w", r.ID, err)
	}
	r.Deliveries = append(r.Deliveries, d)
	if node != nil {
		if r.Nodes == nil {
			r.Nodes = make(map[string]int64)
		}
		r.Nodes[d.Upstream] = *node
	}
	return nil
}

// The statements that load the events with some seqs.
const (
	SelectEvents     = `SELECT ` + EventColumns + ` FROM scribegate.event e WHERE e.seq = ANY($1)`
	LockEvents       = SelectEvents + ` ORDER BY e.seq FOR UPDATE`
	SelectDeliveries = `SELECT ` + DeliveryColumns + ` FROM scribegate.delivery d WHERE d.seq = ANY($1) ORDER BY d.seq, d.upstream`
)
