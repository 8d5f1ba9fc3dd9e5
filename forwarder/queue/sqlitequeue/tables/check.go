package tables

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"math"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// CheckTables reads the b-trees of the tables that hold events. It returns ErrStructure
// if rows are out of order or are not found by their key. It does not check the content
// of the rows.
func CheckTables(ctx context.Context, k *Conn) error {
	for _, text := range []string{
		`SELECT seq, 0, EXISTS (SELECT 1 FROM event WHERE seq = t.seq), size FROM event t NOT INDEXED`,
		`SELECT seq, 0, EXISTS (SELECT 1 FROM payload WHERE seq = t.seq) FROM payload t`,
		`SELECT seq, upstream, EXISTS (SELECT 1 FROM delivery NOT INDEXED WHERE seq = t.seq AND upstream = t.upstream), checksum FROM delivery t NOT INDEXED`,
	} {
		last, lastUpstream := int64(math.MinInt64), int64(0)
		err := k.Query(ctx, text, func(row []driver.Value) error {
			s := Scanner{Row: row}
			seq, upstream, found := s.Int(), s.Int(), s.Int()
			if s.failed || seq < last || seq == last && upstream <= lastUpstream || found == 0 {
				return fmt.Errorf("%w: the rows of a table are out of order", ErrStructure)
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

// CheckUpstreams returns an error unless the index finds all upstreams by name.
func CheckUpstreams(ctx context.Context, c *Conn) error {
	names := make(map[int64]string)
	err := c.Query(ctx, `SELECT id, name FROM upstream NOT INDEXED`, func(row []driver.Value) error {
		s := Scanner{Row: row}
		id, name := s.Int(), s.Text()
		names[id] = name
		return nil
	})
	if err != nil {
		return err
	}
	for id, name := range names {
		found, err := c.Number(`SELECT id FROM upstream INDEXED BY sqlite_autoindex_upstream_1 WHERE name = ?`, name)
		if err == nil && found != id {
			err = fmt.Errorf("%w: upstream %q is not in its index", ErrStructure, name)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// CheckIndexes returns an error unless an event and its pending deliveries are in the
// indexes of their tables.
func CheckIndexes(c *Conn, r *Record, names *Upstreams) error {
	state := StateOf(&r.Event)
	probe := func(index, where string, args ...driver.Value) error {
		found, err := c.Number(`SELECT 1 FROM event INDEXED BY `+index+` WHERE `+where+` AND seq = ?`, append(args, r.Seq)...)
		if err == nil && found == 0 {
			err = fmt.Errorf("%w: event %s is not in index %s", ErrStructure, r.ID, index)
		}
		return err
	}
	var errs []error
	if r.EndedAt > 0 {
		errs = append(errs, probe(`event_ended`, `state = ? AND ended_at = ? AND ended_at > 0`, state, r.EndedAt))
	}
	if state >= EventQuarantined && state <= EventForNoUpstream {
		errs = append(errs, probe(`event_set_aside`, `state = ? AND state BETWEEN 3 AND 6`, state))
	}
	if state == EventDelivered && r.Size > 0 {
		errs = append(errs, probe(`event_kept`, `state = 1 AND size > 0 AND ended_at = ?`, r.EndedAt))
	}
	if r.Type != "note.generated" && r.Type != "transcription.completed" {
		errs = append(errs, probe(`event_type`, `type = ? AND type NOT IN ('note.generated', 'transcription.completed')`, r.Type))
	}
	for i := range r.Deliveries {
		if d := &r.Deliveries[i]; d.State == queue.Pending {
			errs = append(errs, checkDelivery(c, r, d, names))
		}
	}
	return errors.Join(errs...)
}

func checkDelivery(c *Conn, r *Record, d *policy.Delivery, names *Upstreams) error {
	id, _ := names.ID(d.Upstream)
	found, err := c.Number(`SELECT 1 FROM delivery INDEXED BY delivery_state WHERE upstream = ? AND state = ? AND seq = ?`, id, deliveryState(d), r.Seq)
	if err == nil && found == 1 && deliveryState(d) == DeliveryRetry {
		found, err = c.Number(`SELECT 1 FROM delivery INDEXED BY delivery_due WHERE upstream = ? AND state = 1 AND due = ? AND seq = ?`, id, d.Due, r.Seq)
	}
	if err == nil && found == 0 {
		err = fmt.Errorf("%w: a delivery of event %s is not in its index", ErrStructure, r.ID)
	}
	return err
}

// CheckDeliveries returns an error unless table delivery and its state index have
// exactly want rows for the events with after < seq <= through.
func CheckDeliveries(c *Conn, names *Upstreams, after, through, want int64) error {
	rows, err := c.Number(`SELECT count(*) FROM delivery NOT INDEXED WHERE seq > ? AND seq <= ?`, after, through)
	if err != nil {
		return err
	}
	indexed := int64(0)
	for _, id := range names.IDs() {
		for code := range DeliveryStates {
			n, err := c.Number(`SELECT count(*) FROM delivery INDEXED BY delivery_state WHERE upstream = ? AND state = ? AND seq > ? AND seq <= ?`, id, int64(code), after, through)
			if err != nil {
				return err
			}
			indexed += n
		}
	}
	if rows != want || indexed != want {
		return fmt.Errorf("%w: %d deliveries of some events were expected, but the table has %d and its index has %d", ErrStructure, want, rows, indexed)
	}
	return nil
}
