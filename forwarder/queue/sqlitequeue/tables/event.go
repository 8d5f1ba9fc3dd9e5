package tables

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A Record is an event with its sequence number.
type Record struct {
	Seq int64
	policy.Event
}

// EventColumns are the columns of ScanEvent, for a table with the alias e.
const EventColumns = `e.seq, e.id, e.provider, e.type, e.subject, e.received_at, e.state, e.reason, e.ended_at, e.size, e.key, e.checksum`

// recordColumns are the columns of an event and one of its deliveries.
const recordColumns = EventColumns + `, d.seq, d.upstream, d.state, d.due, d.attempts, d.used, d.history, d.checksum`

// Load returns the event with the seq from its rows, nil if it does not exist, or
// policy.ErrDamaged.
func Load(ctx context.Context, c *Conn, names *Upstreams, seq int64) (r *Record, err error) {
	err = loadEach(ctx, c, names, `SELECT `+recordColumns+` FROM event e LEFT JOIN delivery d ON d.seq = e.seq WHERE e.seq = ?`,
		func(loaded *Record) { r = loaded }, seq)
	return r, err
}

// LoadAll returns the readable events with the seqs. It is cheaper than a Load of each.
// If an event is not returned, Load returns whether it is missing or damaged.
func LoadAll(ctx context.Context, c *Conn, names *Upstreams, seqs []int64) map[int64]*Record {
	all := make(map[int64]*Record, len(seqs))
	for some := range Chunks(slices.Compact(slices.Sorted(slices.Values(seqs)))) { // without duplicates
		text := `WITH wanted (s) AS (` + Values(len(some), 1) + `) SELECT ` + recordColumns + `
			FROM wanted CROSS JOIN event e ON e.seq = s LEFT JOIN delivery d ON d.seq = e.seq`
		args := make([]driver.Value, len(some))
		for i, seq := range some {
			args[i] = seq
		}
		_ = loadEach(ctx, c, names, text, func(r *Record) { all[r.Seq] = r }, args...) // Load returns the error again
	}
	return all
}

// loadEach calls each with every event of a query of recordColumns, which must return
// the rows of one event together.
func loadEach(ctx context.Context, c *Conn, names *Upstreams, text string, each func(*Record), args ...driver.Value) error {
	var r *Record
	var state int64
	end := func() error {
		if r == nil {
			return nil
		}
		if StateOf(&r.Event) != state {
			return fmt.Errorf("%w: the row of event %s contradicts the rows of its deliveries", policy.ErrDamaged, r.ID)
		}
		slices.SortFunc(r.Deliveries, ByUpstream)
		each(r)
		return nil
	}
	err := c.Query(ctx, text, func(row []driver.Value) (err error) {
		if r == nil || row[0] != r.Seq {
			if err = end(); err == nil {
				r, state, err = ScanEvent(row)
			}
			if err != nil {
				r = nil
				return err
			}
		}
		if row[12] == nil {
			return nil
		}
		if row[12] != r.Seq { // SQLite does not compare seq: it relies on the order of the rows
			return fmt.Errorf("%w: the rows of deliveries are out of order", ErrStructure)
		}
		d, err := ScanDelivery(r.Seq, row[13:], names)
		if err != nil {
			return fmt.Errorf("event %s: %w", r.ID, err)
		}
		r.Deliveries = append(r.Deliveries, d)
		return nil
	}, args...)
	if err != nil {
		return err
	}
	return end()
}

// The codes of an event's state, as in schema.sql.
const (
	EventPending int64 = iota
	EventDelivered
	EventDead
	EventQuarantined
	EventUnrouted
	EventUnconfirmed
	EventForNoUpstream
	EventTombstone
)

// SetAsideCodes maps the states of events that are set aside to their codes.
var SetAsideCodes = map[queue.State]int64{
	queue.Quarantined: EventQuarantined, queue.Unrouted: EventUnrouted, queue.Unconfirmed: EventUnconfirmed, policy.Tombstone: EventTombstone,
}

// StateOf returns the code of an event's state.
func StateOf(e *policy.Event) int64 {
	if e.SetAside != "" {
		return SetAsideCodes[e.SetAside]
	}
	switch e.State() {
	case queue.Pending:
		return EventPending
	case queue.Dead:
		return EventDead
	default:
	}
	if len(e.Deliveries) == 0 {
		return EventForNoUpstream
	}
	return EventDelivered
}

// ScanEvent returns the event in a row of EventColumns, without its deliveries, and the
// code of its state.
func ScanEvent(row []driver.Value) (*Record, int64, error) {
	s := Scanner{Row: row}
	r := &Record{Seq: s.Int(), Event: policy.Event{ID: s.Text(), Provider: s.Text(), Type: s.Text(), Subject: s.Text(), ReceivedAt: s.Int()}}
	state := s.Int()
	r.Reason, r.EndedAt, r.Size = s.Text(), s.Int(), s.Int()
	r.Key = Fingerprint(s.Int())
	r.SetAside = setAsideOf(state)
	if sum := s.Int(); s.failed || sum != eventChecksum(r, state) {
		return nil, 0, fmt.Errorf("%w: event %q has a wrong checksum", ErrEventRow, r.ID)
	}
	return r, state, nil
}

// KeyNumber returns a fingerprint as a number for a column.
func KeyNumber(f seal.Fingerprint) int64 {
	return int64(binary.BigEndian.Uint64(f[:]))
}

// Fingerprint is the inverse of KeyNumber.
func Fingerprint(n int64) (f seal.Fingerprint) {
	binary.BigEndian.PutUint64(f[:], uint64(n))
	return f
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// eventChecksum returns the checksum of all other columns of an event's row.
func eventChecksum(r *Record, state int64) int64 {
	b := make([]byte, 0, 256)
	for _, n := range [...]int64{r.Seq, r.ReceivedAt, state, r.EndedAt, r.Size, KeyNumber(r.Key)} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	for _, s := range [...]string{r.ID, r.Provider, r.Type, r.Subject, r.Reason} {
		b = binary.AppendUvarint(b, uint64(len(s)))
		b = append(b, s...)
	}
	return int64(crc32.Checksum(b, castagnoli))
}

// setAsideOf is the inverse of SetAsideCodes. It returns "" for other codes.
func setAsideOf(code int64) queue.State {
	for name, c := range SetAsideCodes {
		if c == code {
			return name
		}
	}
	return ""
}

// EventRow returns the columns of IntoEvent.
func EventRow(r *Record) []driver.Value {
	state := StateOf(&r.Event)
	return []driver.Value{r.Seq, r.ID, r.Provider, r.Type, r.Subject, r.ReceivedAt, state, r.Reason, r.EndedAt, r.Size, KeyNumber(r.Key), eventChecksum(r, state)}
}

// UpdateOfEvent returns a statement that writes the changed columns of an event's row,
// and its arguments, or "" if nothing changed. Type and subject change only if the
// event becomes a tombstone: writing them costs an index update.
func UpdateOfEvent(before, after *Record) (text string, args []driver.Value) {
	state := StateOf(&after.Event)
	args = []driver.Value{state, after.EndedAt, after.Size, KeyNumber(after.Key), eventChecksum(after, state), after.Seq}
	switch {
	case before.Type != after.Type || before.Subject != after.Subject || before.Reason != after.Reason:
		return `UPDATE event SET type = ?, subject = ?, reason = ?, state = ?, ended_at = ?, size = ?, key = ?, checksum = ? WHERE seq = ?`,
			append([]driver.Value{after.Type, after.Subject, after.Reason}, args...)
	case StateOf(&before.Event) != state || before.EndedAt != after.EndedAt || before.Size != after.Size || before.Key != after.Key:
		return `UPDATE event SET state = ?, ended_at = ?, size = ?, key = ?, checksum = ? WHERE seq = ?`, args
	}
	return "", nil
}
