package sqlitequeue

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
	"github.com/scribegate/scribegate/verifier/event"
)

// Claim implements queue.Queue. It leases nothing while too many outcomes wait for a
// failing disk, so that they do not fill the memory.
func (q *Queue) Claim(upstream string, now time.Time, want queue.Want) (queue.Claimed, error) {
	if err := q.closed(); err != nil {
		return queue.Claimed{}, err
	}
	if q.writer.Crowded(upstream) {
		return queue.Claimed{}, nil
	}
	c := claim{q: q, lease: q.leases.of(upstream), now: policy.Nanos(now), counts: q.counts()}
	c.lease.mu.Lock()
	defer c.lease.mu.Unlock()
	first, retries, err := c.claimHeld(want)
	if err == nil {
		err = c.claimFirst(len(c.claimed) + want.First - first)
	}
	if err == nil {
		err = c.claimRetries(want.Retry - retries)
	}
	if err != nil {
		q.repairIfDamaged(err)
		if len(c.claimed) == 0 {
			return queue.Claimed{}, fmt.Errorf("claiming deliveries for %s: %w", upstream, err)
		}
	}
	for _, d := range c.claimed {
		c.lease.leased[seqOf(d)] = true
	}
	return queue.Claimed{Deliveries: c.claimed, Next: policy.Time(earliest(c.next, c.heldNext))}, nil
}

// A claim is one call of Claim. The lease's mutex is held.
type claim struct {
	q       *Queue
	lease   *lease
	now     int64
	counts  policy.Counts
	claimed []queue.Delivery
	next    int64

	heldNext int64 // when the next retry of a held event is due
}

func (c *claim) claimFirst(want int) error {
	l := c.lease
	for len(c.claimed) < want {
		if len(l.ready) == 0 {
			if l.complete {
				return nil
			}
			if err := c.readFirst(); err != nil {
				return err
			}
			continue
		}
		n := min(want-len(c.claimed), len(l.ready))
		c.claimed = append(c.claimed, l.ready[:n]...)
		l.ready = l.ready[n:]
	}
	return nil
}

// readFirst reads the next first deliveries from the table.
func (c *claim) readFirst() error {
	l := c.lease
	unfiled := c.q.unfiled.All() // before the tables, since events may move there meanwhile
	id, _ := c.q.upstreams.ID(l.upstream)
	var seqs []int64
	err := c.q.claims.Snapshot(c.q.ctx, func(k *tables.Conn) (err error) {
		seqs, err = k.Numbers(context.Background(), `SELECT seq FROM delivery WHERE upstream = ? AND state = 0 AND seq >= ? ORDER BY seq LIMIT ?`, id, l.from, int64(readAhead))
		if err != nil {
			return err
		}
		records := tables.LoadAll(context.Background(), k, c.q.upstreams, seqs)
		for _, seq := range seqs {
			if !l.leased[seq] {
				d, ok, err := c.read(k, seq, records[seq])
				if err != nil {
					return err
				}
				if ok {
					l.ready = append(l.ready, d)
				}
			}
			l.from = seq + 1
		}
		c.readPayloads(k)
		return nil
	})
	if err != nil {
		return err
	}
	if len(seqs) == readAhead {
		return nil
	}
	l.complete = true
	for _, r := range unfiled {
		d := r.Delivery(l.upstream)
		if r.Seq < l.from || d == nil || !d.First() || l.leased[r.Seq] {
			continue
		}
		l.ready = append(l.ready, r.ClaimOf(r.Seq, l.upstream))
		l.from = r.Seq + 1
	}
	return nil
}

// readPayloads reads the payloads of the ready deliveries, if they are small: one query
// for many payloads costs a third of one query for each.
func (c *claim) readPayloads(k *tables.Conn) {
	l := c.lease
	var seqs []int64
	bytes := int64(0)
	for _, d := range l.ready {
		if d.Size <= maxAhead && bytes+d.Size <= maxReadAhead {
			seqs, bytes = append(seqs, seqOf(d)), bytes+d.Size
		}
	}
	l.payloads = tables.LoadPayloads(context.Background(), k, seqs)
}

// read returns a pending delivery, and false if it can no longer be claimed. If the record
// was not loaded yet, r is nil. A damaged delivery stays leased until the process ends.
func (c *claim) read(k *tables.Conn, seq int64, r *tables.Record) (out queue.Delivery, ok bool, err error) {
	if r == nil {
		r, err = c.q.load(context.Background(), k, seq)
	}
	if err == nil && (r == nil || r.Delivery(c.lease.upstream) == nil) {
		err = fmt.Errorf("%w: the row of a due delivery is missing", tables.ErrStructure)
	}
	if errors.Is(err, policy.ErrDamaged) {
		c.lease.leased[seq] = true
		c.q.foundUnreadable(seq, fmt.Errorf("claiming a delivery for %s: %w", c.lease.upstream, err))
		c.q.repairIfDamaged(err) // which clears the event if only an index was damaged
		return out, false, nil
	}
	if err != nil {
		return out, false, err
	}
	d := r.Delivery(c.lease.upstream)
	if d.State != queue.Pending || d.Blocked {
		return out, false, nil
	}
	return r.ClaimOf(seq, c.lease.upstream), true, nil
}

// claimRetries claims the retries that are due, longest due first, and finds when the
// next one is due.
func (c *claim) claimRetries(want int) error {
	l := c.lease
	id, known := c.q.upstreams.ID(l.upstream)
	if !known || c.counts[policy.Counter{Kind: policy.CountRetry, Name: l.upstream}] == 0 {
		return nil
	}
	return c.q.claims.Snapshot(c.q.ctx, func(k *tables.Conn) error {
		var due []int64
		if want > 0 {
			err := k.Query(context.Background(), `SELECT seq FROM delivery WHERE upstream = ? AND state = 1 AND due <= ? ORDER BY due, seq`, func(row []driver.Value) error {
				s := tables.Scanner{Row: row}
				if seq := s.Int(); !l.leased[seq] {
					due = append(due, seq)
				}
				if len(due) == want {
					return tables.ErrStop
				}
				return nil
			}, id, c.now)
			if err != nil {
				return err
			}
		}
		for _, seq := range due {
			d, ok, err := c.read(k, seq, nil)
			if err != nil {
				return err
			}
			if ok {
				c.claimed = append(c.claimed, d)
			}
		}
		return k.Query(context.Background(), `SELECT seq, due FROM delivery WHERE upstream = ? AND state = 1 AND due > ? ORDER BY due, seq`, func(row []driver.Value) error {
			s := tables.Scanner{Row: row}
			seq, at := s.Int(), s.Int()
			if l.leased[seq] {
				return nil
			}
			c.next = at
			return tables.ErrStop
		}, id, c.now)
	})
}

// Load implements queue.Queue.
func (q *Queue) Load(d queue.Delivery) (*event.Event, error) {
	if queue.IsCleanup(d.Upstream) {
		return nil, fmt.Errorf("loading event %s: %w", d.EventID, queue.ErrNoPayload)
	}
	if e := q.held.event(d); e != nil {
		return e, nil
	}
	if e := q.recent.Get(seqOf(d)); e != nil {
		return e, nil
	}
	if sealed := q.leases.of(d.Upstream).payload(seqOf(d)); sealed != nil {
		if e, err := policy.OpenEvent(q.ring.Load(), d.EventID, sealed); err == nil {
			return e, nil
		} // it may have been sealed with another key since
	}
	var sealed []byte
	err := q.claims.With(q.ctx, func(c *tables.Conn) (err error) {
		sealed, err = q.readPayload(c, d)
		return err
	})
	switch {
	case errors.Is(err, policy.ErrDamaged):
		if err := q.survey(); err != nil {
			return nil, fmt.Errorf("loading event %s: %w", d.EventID, err)
		}
		q.foundUnreadable(seqOf(d), fmt.Errorf("loading event %s: %w", d.EventID, err))
		return nil, fmt.Errorf("loading event %s: %w: %w", d.EventID, queue.ErrUnreadable, err)
	case q.ctx.Err() != nil:
		return nil, queue.ErrClosed
	case err != nil:
		return nil, fmt.Errorf("loading event %s: %w", d.EventID, err)
	}
	e, err := policy.OpenEvent(q.ring.Load(), d.EventID, sealed)
	if err != nil {
		q.foundUnreadable(seqOf(d), err)
	}
	return e, err
}

// readPayload returns the sealed payload of a delivery that is still in the store.
func (q *Queue) readPayload(c *tables.Conn, d queue.Delivery) (sealed []byte, err error) {
	if r := q.unfiled.Get(seqOf(d)); r != nil && r.Delivery(d.Upstream) != nil {
		if sealed, err = tables.LoadPayload(context.Background(), c, r.Seq); err != nil || len(sealed) > 0 {
			return sealed, err
		}
	}
	id, _ := q.upstreams.ID(d.Upstream)
	found := false
	err = c.Query(context.Background(), `
		SELECT p.sealed FROM delivery d LEFT JOIN payload p ON p.seq = d.seq
		WHERE d.seq = ? AND d.upstream = ?`, func(row []driver.Value) error {
		s := tables.Scanner{Row: row}
		found, sealed = true, s.Blob()
		return nil
	}, seqOf(d), id)
	switch {
	case err != nil:
		return nil, err
	case !found:
		return nil, fmt.Errorf("%w: it has been purged", queue.ErrNotFound)
	case sealed == nil:
		return nil, fmt.Errorf("%w: its payload is missing", policy.ErrDamaged)
	}
	return sealed, nil
}
