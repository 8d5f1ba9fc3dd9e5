package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"
	"strings"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A record is an event with its place in the store.
type record struct {
	seq int64
	policy.Event
}

const eventColumns = `e.seq, e.id, e.provider, e.type, e.subject, e.received_at, e.state, e.reason, e.ended_at, e.size, e.key, e.checksum`

// selectRecord returns one row for each delivery of the event.
const selectRecord = `
	SELECT ` + eventColumns + `, d.seq, d.upstream, d.state, d.due, d.attempts, d.used, d.history, d.checksum
	FROM event e LEFT JOIN delivery d ON d.seq = e.seq
	WHERE e.seq = ?`

// load returns the event with the seq, nil where there is none, and
// policy.ErrDamaged where it cannot be read.
func (q *Queue) load(ctx context.Context, c *conn, seq int64) (*record, error) {
	if r := q.unfiled.get(seq); r != nil {
		return r, nil
	}
	return load(ctx, c, q.upstreams, seq)
}

// load returns the event that the tables have, or nil.
func load(ctx context.Context, c *conn, names *upstreams, seq int64) (*record, error) {
	var r *record
	var state int64
	err := c.query(ctx, selectRecord, func(row []driver.Value) error {
		if r == nil {
			var err error
			if r, state, err = scanEvent(row); err != nil {
				return err
			}
		}
		if row[12] == nil {
			return nil
		}
		if row[12] != seq { // SQLite does not compare it: it relies on the order of the rows
			return fmt.Errorf("%w: the rows of deliveries are not in their order", errStructure)
		}
		d, err := scanDelivery(seq, row[13:], names)
		if err != nil {
			return fmt.Errorf("event %s: %w", r.ID, err)
		}
		r.Deliveries = append(r.Deliveries, d)
		return nil
	}, seq)
	if err != nil {
		return nil, err
	}
	if r != nil {
		if stateOf(&r.Event) != state {
			return nil, fmt.Errorf("%w: the row of event %s and those of its deliveries do not agree", policy.ErrDamaged, r.ID)
		}
		slices.SortFunc(r.Deliveries, byUpstream)
	}
	return r, nil
}

func byUpstream(a, b policy.Delivery) int { return strings.Compare(a.Upstream, b.Upstream) }

// The codes of an event's state, as in schema.sql.
const (
	codePending int64 = iota
	codeDelivered
	codeDead
	codeQuarantined
	codeUnrouted
	codeUnconfirmed
	codeForNoUpstream
	codeTombstone
)

// The codes of a delivery's state.
const (
	codeFirst int64 = iota
	codeRetry
	codeDone
	codeFailed
)

var setAsideCodes = map[queue.State]int64{
	queue.Quarantined: codeQuarantined, queue.Unrouted: codeUnrouted, queue.Unconfirmed: codeUnconfirmed, policy.Tombstone: codeTombstone,
}

// stateOf returns the code of an event's state.
func stateOf(e *policy.Event) int64 {
	if e.SetAside != "" {
		return setAsideCodes[e.SetAside]
	}
	switch e.State() {
	case queue.Pending:
		return codePending
	case queue.Dead:
		return codeDead
	default:
	}
	if len(e.Deliveries) == 0 {
		return codeForNoUpstream
	}
	return codeDelivered
}

// deliveryStates are the states of the codes.
var deliveryStates = [...]queue.State{queue.Pending, queue.Pending, queue.Delivered, queue.Dead}

func deliveryState(d *policy.Delivery) int64 {
	switch {
	case d.First():
		return codeFirst
	case d.State == queue.Pending:
		return codeRetry
	case d.State == queue.Delivered:
		return codeDone
	}
	return codeFailed
}

// scanEvent returns the event of a row of eventColumns, without its deliveries, and
// the code of its state.
func scanEvent(row []driver.Value) (*record, int64, error) {
	s := scanner{row: row}
	r := &record{seq: s.int(), Event: policy.Event{ID: s.text(), Provider: s.text(), Type: s.text(), Subject: s.text(), ReceivedAt: s.int()}}
	state := s.int()
	r.Reason, r.EndedAt, r.Size = s.text(), s.int(), s.int()
	r.Key = fingerprint(s.int())
	r.SetAside = setAsideOf(state)
	if sum := s.int(); s.failed || sum != eventChecksum(r, state) {
		return nil, 0, fmt.Errorf("%w: the row of event %q is not as it was written", policy.ErrDamaged, r.ID)
	}
	return r, state, nil
}

// scanDelivery returns the delivery of a row of its columns.
func scanDelivery(seq int64, row []driver.Value, names *upstreams) (policy.Delivery, error) {
	s := scanner{row: row}
	upstream, state := s.int(), s.int()
	d := policy.Delivery{Due: s.int(), Attempts: int(s.int()), Used: int(s.int())}
	coded, sum := s.blob(), s.int()
	name, known := names.name(upstream)
	if s.failed || !known || sum != deliveryChecksum(seq, upstream, state, &d, coded) {
		return d, fmt.Errorf("%w: the row of a delivery is not as it was written", policy.ErrDamaged)
	}
	d.Upstream = name
	d.State = deliveryStates[state&3]
	var err error
	if d.History, err = policy.DecodeHistory(coded); err != nil {
		return d, fmt.Errorf("%w: %w", policy.ErrDamaged, err)
	}
	return d, nil
}

// keyNumber returns a fingerprint as a column holds it.
func keyNumber(f seal.Fingerprint) int64 {
	return int64(binary.BigEndian.Uint64(f[:]))
}

// fingerprint returns the fingerprint of a key's number.
func fingerprint(n int64) (f seal.Fingerprint) {
	binary.BigEndian.PutUint64(f[:], uint64(n))
	return f
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// eventChecksum is the checksum of all other columns of an event's row.
func eventChecksum(r *record, state int64) int64 {
	b := make([]byte, 0, 256)
	for _, n := range [...]int64{r.seq, r.ReceivedAt, state, r.EndedAt, r.Size, keyNumber(r.Key)} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	for _, s := range [...]string{r.ID, r.Provider, r.Type, r.Subject, r.Reason} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return int64(crc32.Checksum(b, castagnoli))
}

// setAsideOf returns the state of an event without deliveries that the code stands for,
// or "".
func setAsideOf(code int64) queue.State {
	for name, c := range setAsideCodes {
		if c == code {
			return name
		}
	}
	return ""
}

// eventRow are the columns of an event's row.
func eventRow(r *record) []driver.Value {
	state := stateOf(&r.Event)
	return []driver.Value{r.seq, r.ID, r.Provider, r.Type, r.Subject, r.ReceivedAt, state, r.Reason, r.EndedAt, r.Size, keyNumber(r.Key), eventChecksum(r, state)}
}

// deliveryRow are the columns of a delivery's row, its key last.
func deliveryRow(seq, upstream int64, d *policy.Delivery) []driver.Value {
	state, history := deliveryState(d), policy.AppendHistory([]byte{}, d.History)
	return []driver.Value{state, d.Due, int64(d.Attempts), int64(d.Used), history, deliveryChecksum(seq, upstream, state, d, history), seq, upstream}
}

// deliveryChecksum is the checksum of all other columns of a delivery's row.
func deliveryChecksum(seq, upstream, state int64, d *policy.Delivery, history []byte) int64 {
	b := make([]byte, 0, 256)
	for _, n := range [...]int64{seq, upstream, state, d.Due, int64(d.Attempts), int64(d.Used)} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return int64(crc32.Checksum(append(b, history...), castagnoli))
}

// A scanner reads the columns of a row in their order.
type scanner struct {
	row    []driver.Value
	failed bool // a column has another type
}

func next[T any](s *scanner) (v T) {
	v, ok := s.row[0].(T)
	s.row, s.failed = s.row[1:], s.failed || !ok
	return v
}

// err returns an error where a column has another type than it was read as.
func (s *scanner) err() error {
	if s.failed {
		return fmt.Errorf("%w: a column of a row is of another type", policy.ErrDamaged)
	}
	return nil
}

func (s *scanner) int() int64   { return next[int64](s) }
func (s *scanner) text() string { return next[string](s) }

// blob returns a blob, of which the empty one comes as nil.
func (s *scanner) blob() []byte {
	if s.row[0] == nil {
		s.row = s.row[1:]
		return nil
	}
	return next[[]byte](s)
}
