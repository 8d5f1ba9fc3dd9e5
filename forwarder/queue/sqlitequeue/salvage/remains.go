package salvage

import (
	"context"
	"database/sql/driver"
	"encoding/binary"
	"errors"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/verifier/event"
)

// A salvaged is the remains of an event.
type salvaged struct {
	tables.Record
	damaged      bool // a part of the record was unreadable
	unknown      bool // the state was unreadable
	sealed       []byte
	lost         bool         // the payload is kept but unreadable
	locked       bool         // no key opens the payload
	unidentified bool         // and nothing else identifies the event
	event        *event.Event // the opened payload
}

// read returns the remains of the event with the seq, or nil if nothing identifies it.
func (c *contents) read(seq int64, payloads bool) (*salvaged, error) {
	e := &salvaged{Record: tables.Record{Seq: seq}}
	state := int64(-1)
	err := c.rows.Query(context.Background(), `SELECT `+tables.EventColumns+` FROM event e WHERE e.seq = ?`, func(row []driver.Value) error {
		r, code, err := tables.ScanEvent(row)
		if err == nil {
			e.Record, state = *r, code
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
		return e, nil // in its initial state: its other rows were not written yet
	}
	stored := e.Deliveries
	e.Deliveries = nil
	if err := c.readDeliveries(e); err != nil {
		return nil, err
	}
	if !known && e.ID == "" {
		c.countOne(e.Pending())
		return nil, nil
	}
	if known && !e.damaged && !c.copied && !c.rebuilding && tables.StateOf(&e.Event) == state {
		return e, nil
	}
	if err := c.findDeliveries(e); err != nil {
		return nil, err
	}
	if known && tables.StateOf(&e.Event) != state && e.Size > 0 {
		if r, _, err := c.payload(seq); err == nil && r != nil {
			stored = r.Deliveries
		}
	}
	for _, d := range stored { // without a row, it may not have been delivered
		if e.Delivery(d.Upstream) == nil {
			e.Deliveries, e.damaged = append(e.Deliveries, d), true
		}
	}
	if !slices.ContainsFunc(e.Deliveries, func(d policy.Delivery) bool { return !queue.IsStage(d.Upstream) }) {
		e.Deliveries = nil // stages alone do nothing
	}
	if len(e.Deliveries) > 0 {
		e.SetAside, e.Reason = "", ""
		slices.SortFunc(e.Deliveries, tables.ByUpstream)
		e.Gate()
	}
	e.unknown = len(e.Deliveries) == 0 && e.SetAside == "" && state != tables.EventForNoUpstream
	e.damaged = e.damaged || !known || tables.StateOf(&e.Event) != state
	return e, nil
}

// readPayload reads the payload of an event and, if the row of the event is unknown,
// the event's initial state.
func (c *contents) readPayload(e *salvaged, known bool) error {
	stored, sealed, err := c.payload(e.Seq)
	if err != nil && !errors.Is(err, policy.ErrDamaged) {
		return err
	}
	if stored == nil {
		e.lost = known || err != nil
		return nil
	}
	e.sealed = sealed
	if !known {
		e.Record, e.damaged, e.unidentified = *stored, err != nil, err != nil
	}
	if c.ring == nil || len(sealed) == 0 || c.rebuilding && !e.unidentified {
		return nil
	}
	if e.event, err = policy.OpenEvent(c.ring, e.ID, sealed); err != nil {
		e.locked = true
		return nil
	}
	if e.unidentified {
		e.Provider, e.Type, e.Subject, e.ReceivedAt = e.event.Provider, e.event.ShortType(), e.event.Subject, policy.Nanos(e.event.ReceivedAt)
		e.unidentified = false
	}
	return nil
}

// payload returns the initial state of an event and its sealed payload, or nil. With
// policy.ErrDamaged it returns the readable part of the row.
func (c *contents) payload(seq int64) (r *tables.Record, sealed []byte, err error) {
	const text = `SELECT ` + tables.PayloadColumns + ` FROM payload WHERE seq = ?`
	scan := func(row []driver.Value) (err error) {
		r, sealed, err = tables.ScanPayload(row)
		return err
	}
	err = c.rows.Query(context.Background(), text, scan, seq)
	if c.copied && sealed != nil {
		page := binary.BigEndian.Uint32(sealed)
		r, sealed = nil, nil
		if err = c.image.setRoot(page, tables.RootPayload); err == nil {
			err = c.image.conn.Query(context.Background(), text, scan, seq)
		}
	}
	return r, sealed, err
}

// readDeliveries reads the deliveries of an event.
func (c *contents) readDeliveries(e *salvaged) error {
	err := c.rows.Query(context.Background(), `SELECT upstream, state, due, attempts, used, history, checksum FROM delivery NOT INDEXED WHERE seq = ?`, func(row []driver.Value) error {
		if d, err := tables.ScanDelivery(e.Seq, row, c.names); err == nil {
			e.Deliveries = append(e.Deliveries, d)
		} else {
			e.damaged = true
		}
		return nil
	}, e.Seq)
	if errors.Is(err, policy.ErrDamaged) {
		return nil
	}
	return err
}

// findDeliveries finds the deliveries of an event whose rows are lost in the index of
// delivery states.
func (c *contents) findDeliveries(e *salvaged) error {
	for _, id := range c.names.IDs() {
		name, _ := c.names.Name(id)
		for code := int64(0); code < int64(len(tables.DeliveryStates)) && e.Delivery(name) == nil; code++ {
			err := c.image.conn.Query(context.Background(), `SELECT seq FROM delivery INDEXED BY delivery_state WHERE upstream = ? AND state = ? AND seq = ?`, func([]driver.Value) error {
				d := policy.Delivery{Upstream: name, State: tables.DeliveryStates[code]}
				if code == tables.DeliveryRetry {
					d.Due = 1
				}
				e.Deliveries, e.damaged = append(e.Deliveries, d), true
				return nil
			}, id, code, e.Seq)
			if err != nil && !errors.Is(err, policy.ErrDamaged) {
				return err
			}
		}
	}
	return nil
}
