package tables

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// Restore returns an event whose row in table event is damaged. It reconstructs the
// event from the row of its payload, which has the event's initial state, and from the
// rows of its deliveries. It returns policy.ErrDamaged if one of these is missing or
// damaged. now becomes the end time if the stored one is implausible.
func Restore(ctx context.Context, c *Conn, names *Upstreams, seq, now int64) (*Record, error) {
	var r *Record
	err := c.Query(ctx, `SELECT `+PayloadColumns+` FROM payload WHERE seq = ?`, func(row []driver.Value) (err error) {
		r, _, err = ScanPayload(row)
		return err
	}, seq)
	if err == nil && r == nil {
		err = fmt.Errorf("%w: its payload is not kept", policy.ErrDamaged)
	}
	if err != nil {
		return nil, err
	}
	stored := len(r.Deliveries)
	r.Deliveries = nil
	err = c.Query(ctx, `SELECT upstream, state, due, attempts, used, history, checksum FROM delivery NOT INDEXED WHERE seq = ?`, func(row []driver.Value) error {
		d, err := ScanDelivery(seq, row, names)
		r.Deliveries = append(r.Deliveries, d)
		return err
	}, seq)
	switch {
	case err != nil:
		return nil, err
	case slices.ContainsFunc(r.Deliveries, func(d policy.Delivery) bool { return !queue.IsStage(d.Upstream) }):
		r.SetAside, r.Reason = "", ""
		slices.SortFunc(r.Deliveries, ByUpstream)
		r.Gate()
	case stored+len(r.Deliveries) > 0:
		return nil, fmt.Errorf("%w: its deliveries are missing", policy.ErrDamaged)
	}
	if r.Pending() {
		r.EndedAt = 0
		return r, nil
	}
	ended, err := c.Number(`SELECT ended_at FROM event NOT INDEXED WHERE seq = ?`, seq)
	if errors.Is(err, policy.ErrDamaged) || ended < r.ReceivedAt || ended > now {
		ended, err = now, nil
	}
	r.EndedAt = max(1, ended)
	return r, err
}

// RestoreEvent is an UPDATE of all columns of an event's row except its key, with the
// columns of RestoreRow.
const RestoreEvent = `
	UPDATE event SET id = ?, provider = ?, type = ?, subject = ?, received_at = ?, state = ?, reason = ?, ended_at = ?, size = ?, key = ?, checksum = ?
	WHERE seq = ?`

// RestoreRow returns the columns of RestoreEvent.
func RestoreRow(r *Record) []driver.Value {
	row := EventRow(r)
	return append(row[1:], row[0])
}
