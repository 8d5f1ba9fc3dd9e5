package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/seal"
	"github.com/scribegate/scribegate/verifier/event"
)

// Contents are the events in an image. Where the trees of the tables are whole they are
// read from it; else what their pages hold was copied from there.
type contents struct {
	image *image
	rows  *conn // has the tables event, payload and delivery
	names *upstreams
	ring  *seal.Ring // opens payloads; nil: none is opened

	filed      int64 // all events up to this one have a row in table event
	rebuilding bool  // payloads are opened only where the record is damaged, and all deliveries compared with their index
	copied     bool  // rows is a database of its own, with page numbers as payloads
	gaps       int   // pages of table event that cannot be read
	lost       int   // events that wait, of which too little is left
	traces     int   // events that have ended, of which too little is left
}

// A salvaged is an event with what is left of it.
type salvaged struct {
	record
	damaged bool // not all of the record could be read
	unknown bool // of the record, its state could not
	sealed  []byte
	lost    bool         // the payload is kept, and cannot be read
	locked  bool         // no key opens the payload
	keyless bool         // and nothing else says what the event was
	event   *event.Event // the payload, opened
}

// readContents finds the events in an image.
func readContents(ctx context.Context, path string, m *image) (*contents, error) {
	if err := m.identify(path); err != nil {
		return nil, err
	}
	c := &contents{image: m, rows: m.conn}
	var err error
	if c.names, err = readUpstreams(m.conn); errors.Is(err, policy.ErrDamaged) {
		err = nil
	}
	if err == nil {
		c.filed, err = filedIn(m.conn)
	}
	if err == nil {
		err = surveyTables(ctx, m.conn)
	}
	if errors.Is(err, policy.ErrDamaged) || err == nil && m.walDamaged() {
		err = c.salvage(ctx)
	}
	if err == nil {
		err = c.countLost(ctx)
	}
	if err == nil && m.grafted {
		err = c.isAny()
	}
	if err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

func (c *contents) close() error {
	if c.copied {
		return c.rows.close()
	}
	return nil
}

// filedIn returns the seq up to which all events have a row in table event.
func filedIn(k *conn) (filed int64, err error) {
	m, err := readMeta(k)
	if err == nil && m.counts != nil {
		return m.filed, nil
	}
	if err == nil || errors.Is(err, policy.ErrDamaged) {
		filed, err = k.number(`SELECT max(seq) FROM event`)
	}
	if errors.Is(err, policy.ErrDamaged) {
		return math.MaxInt64, nil
	}
	return filed, err
}

// surveyTables reads the trees of the tables that hold events, and returns errStructure
// where their rows are not in their order, or a row is not found by its key. What is in
// the rows it does not read.
func surveyTables(ctx context.Context, k *conn) error {
	for _, text := range []string{
		`SELECT seq, 0, EXISTS (SELECT 1 FROM event WHERE seq = t.seq), size FROM event t NOT INDEXED`,
		`SELECT seq, 0, EXISTS (SELECT 1 FROM payload WHERE seq = t.seq) FROM payload t`,
		`SELECT seq, upstream, EXISTS (SELECT 1 FROM delivery NOT INDEXED WHERE seq = t.seq AND upstream = t.upstream), checksum FROM delivery t NOT INDEXED`,
	} {
		last, lastUpstream := int64(math.MinInt64), int64(0)
		err := k.query(ctx, text, func(row []driver.Value) error {
			s := scanner{row: row}
			seq, upstream, found := s.int(), s.int(), s.int()
			if s.failed || seq < last || seq == last && upstream <= lastUpstream || found == 0 {
				return fmt.Errorf("%w: its rows are not in their order", errStructure)
			}
			last, lastUpstream = seq, upstream
			return nil
		})
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// errNothing says that nothing in a file is of a store, as far as it can be read.
var errNothing = errors.New("it is not a store, or nothing of it can be read")

// isAny returns errNothing where no event can be read.
func (c *contents) isAny() error {
	n, err := c.rows.number(`SELECT EXISTS (SELECT 1 FROM event) OR EXISTS (SELECT 1 FROM payload)`)
	if err == nil && n == 0 {
		err = errNothing
	}
	return err
}

// countLost counts the events of which nothing but deliveries is left.
func (c *contents) countLost(ctx context.Context) error {
	err := c.rows.query(ctx, `
		SELECT pending FROM (SELECT seq, max(state < 2) AS pending FROM delivery NOT INDEXED GROUP BY seq) d
		WHERE NOT EXISTS (SELECT 1 FROM event WHERE seq = d.seq) AND NOT EXISTS (SELECT 1 FROM payload WHERE seq = d.seq)`, func(row []driver.Value) error {
		s := scanner{row: row}
		c.isLost(s.int() == 1)
		return nil
	})
	if errors.Is(err, policy.ErrDamaged) {
		return nil // each event is read by itself, too
	}
	return err
}

func (c *contents) isLost(pending bool) {
	if pending {
		c.lost++
	} else {
		c.traces++
	}
}

// sealers returns the fingerprints of the keys that sealed the payloads of the events
// whose rows can be read.
func (c *contents) sealers() (all []seal.Fingerprint, err error) {
	err = c.rows.query(context.Background(), `SELECT DISTINCT key FROM event WHERE size > 0`, func(row []driver.Value) error {
		s := scanner{row: row}
		all = append(all, fingerprint(s.int()))
		return nil
	})
	if err != nil {
		return nil, err
	}
	// The others are in table payload only.
	err = c.rows.query(context.Background(), `SELECT seq FROM payload WHERE seq > ?`, func(row []driver.Value) error {
		s := scanner{row: row}
		_, sealed, err := c.payload(s.int())
		if key, ok := seal.KeyOf(sealed); ok && !slices.Contains(all, key) {
			all = append(all, key)
		}
		if errors.Is(err, policy.ErrDamaged) {
			return nil
		}
		return err
	}, c.filed)
	return all, err
}

// each calls found with each event, in the order of SQL.
func (c *contents) each(ctx context.Context, order string, payloads bool, found func(*salvaged) error) error {
	return c.rows.query(ctx, `SELECT seq FROM event UNION SELECT seq FROM payload ORDER BY seq `+order, func(row []driver.Value) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		s := scanner{row: row}
		e, err := c.read(s.int(), payloads)
		if err != nil || e == nil {
			return err
		}
		return found(e)
	})
}

// read returns the event with the seq, as far as it can be read, or nil where nothing
// says what it was.
func (c *contents) read(seq int64, payloads bool) (*salvaged, error) {
	e := &salvaged{record: record{seq: seq}}
	state := int64(-1)
	err := c.rows.query(context.Background(), `SELECT `+eventColumns+` FROM event e WHERE e.seq = ?`, func(row []driver.Value) error {
		r, code, err := scanEvent(row)
		if err == nil {
			e.record, state = *r, code
		}
		return err
	}, seq)
	if err != nil && !errors.Is(err, policy.ErrDamaged) {
		return nil, err
	}
	known := state >= 0
	if payloads && e.Size > 0 || !known {
		if err := c.readPayload(e, known); err != nil {
			return nil, err
		}
	}
	if !known && seq > c.filed && e.ID != "" {
		return e, nil // as it was stored: nothing else was written of it
	}
	stored := e.Deliveries
	e.Deliveries = nil
	if err := c.readDeliveries(e); err != nil {
		return nil, err
	}
	if !known && e.ID == "" {
		c.isLost(e.Pending())
		return nil, nil
	}
	if known && !e.damaged && !c.copied && !c.rebuilding && stateOf(&e.Event) == state {
		return e, nil
	}
	if err := c.findDeliveries(e); err != nil {
		return nil, err
	}
	if known && stateOf(&e.Event) != state && e.Size > 0 {
		if r, _, err := c.payload(seq); err == nil && r != nil {
			stored = r.Deliveries
		}
	}
	for _, d := range stored { // where nothing is left of one it may not have been made
		if e.Delivery(d.Upstream) == nil {
			e.Deliveries, e.damaged = append(e.Deliveries, d), true
		}
	}
	if len(e.Deliveries) > 0 {
		e.SetAside, e.Reason = "", ""
		slices.SortFunc(e.Deliveries, byUpstream)
	}
	e.unknown = len(e.Deliveries) == 0 && e.SetAside == "" && state != codeForNoUpstream
	e.damaged = e.damaged || !known || stateOf(&e.Event) != state
	return e, nil
}

// readPayload reads the payload of an event, and, where the row of the event is not
// known, the event as it was stored.
func (c *contents) readPayload(e *salvaged, known bool) error {
	stored, sealed, err := c.payload(e.seq)
	if err != nil && !errors.Is(err, policy.ErrDamaged) {
		return err
	}
	if stored == nil {
		e.lost = known || err != nil
		return nil
	}
	e.sealed = sealed
	if !known {
		e.record, e.damaged, e.keyless = *stored, err != nil, err != nil
	}
	if c.ring == nil || len(sealed) == 0 || c.rebuilding && !e.keyless {
		return nil
	}
	if e.event, err = openEvent(c.ring, e.ID, sealed); err != nil {
		e.locked = true
		return nil
	}
	if e.keyless {
		e.Provider, e.Type, e.Subject, e.ReceivedAt = e.event.Provider, e.event.ShortType(), e.event.Subject, policy.Nanos(e.event.ReceivedAt)
		e.keyless = false
	}
	return nil
}

// payload returns an event as it was stored, and its sealed payload, or nil. Beside
// policy.ErrDamaged it is what could be read of the row.
func (c *contents) payload(seq int64) (r *record, sealed []byte, err error) {
	const text = `SELECT ` + payloadColumns + ` FROM payload WHERE seq = ?`
	scan := func(row []driver.Value) (err error) {
		r, sealed, err = scanPayload(row)
		return err
	}
	err = c.rows.query(context.Background(), text, scan, seq)
	if c.copied && sealed != nil {
		page := binary.BigEndian.Uint32(sealed)
		r, sealed = nil, nil
		if err = c.image.setRoot(page, rootPayload); err == nil {
			err = c.image.conn.query(context.Background(), text, scan, seq)
		}
	}
	return r, sealed, err
}

// readDeliveries reads the deliveries of an event.
func (c *contents) readDeliveries(e *salvaged) error {
	err := c.rows.query(context.Background(), `SELECT upstream, state, due, attempts, used, history, checksum FROM delivery NOT INDEXED WHERE seq = ?`, func(row []driver.Value) error {
		if d, err := scanDelivery(e.seq, row, c.names); err == nil {
			e.Deliveries = append(e.Deliveries, d)
		} else {
			e.damaged = true
		}
		return nil
	}, e.seq)
	if errors.Is(err, policy.ErrDamaged) {
		return nil
	}
	return err
}

// findDeliveries finds the deliveries of an event whose rows are lost in the index of
// their states.
func (c *contents) findDeliveries(e *salvaged) error {
	for _, id := range c.names.ids() {
		name, _ := c.names.name(id)
		for code := codeFirst; code <= codeFailed && e.Delivery(name) == nil; code++ {
			err := c.image.conn.query(context.Background(), `SELECT seq FROM delivery INDEXED BY delivery_state WHERE upstream = ? AND state = ? AND seq = ?`, func([]driver.Value) error {
				d := policy.Delivery{Upstream: name, State: deliveryStates[code]}
				if code == codeRetry {
					d.Due = 1
				}
				e.Deliveries, e.damaged = append(e.Deliveries, d), true
				return nil
			}, id, code, e.seq)
			if err != nil && !errors.Is(err, policy.ErrDamaged) {
				return err
			}
		}
	}
	return nil
}
