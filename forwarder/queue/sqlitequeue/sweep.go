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
)

// sweepEvery returns how often events whose retention has ended are looked for.
func sweepEvery(s queue.Settings) time.Duration {
	shortest := min(s.DedupeWindow, s.DeadRetention, max(s.HistoryRetention, s.KeepDelivered))
	if s.KeepDelivered > 0 {
		shortest = min(shortest, s.KeepDelivered)
	}
	return min(max(shortest/10, time.Second), time.Minute)
}

// sweep deletes what is over, for up to step events, and reports whether there may be
// more.
func (t *tx) sweep() (more bool, err error) {
	budget := step
	for code := tables.EventDelivered; code <= tables.EventTombstone; code++ {
		seqs, err := t.endedBefore(`SELECT seq FROM event WHERE state = ? AND ended_at > 0 AND ended_at <= ? ORDER BY ended_at`, budget,
			code, t.age-int64(policy.Retention(stateNames[code], t.settings)))
		if err != nil {
			return false, err
		}
		for _, seq := range seqs {
			if err := t.expire(seq); err != nil {
				return false, err
			}
		}
		budget -= len(seqs)
	}
	seqs, err := t.endedBefore(`SELECT seq FROM event WHERE state = 1 AND size > 0 AND ended_at <= ? ORDER BY ended_at`, budget,
		t.age-int64(t.settings.KeepDelivered))
	if err != nil {
		return false, err
	}
	for _, seq := range seqs {
		err := t.changeReadable(seq, func(r *tables.Record) bool {
			r.DropPayload()
			return true
		})
		if err != nil {
			return false, err
		}
	}
	return budget == len(seqs), nil
}

// stateNames are the states whose retention events of the codes have.
var stateNames = map[int64]queue.State{
	tables.EventDelivered: queue.Delivered, tables.EventDead: queue.Dead, tables.EventQuarantined: queue.Quarantined, tables.EventUnrouted: queue.Unrouted,
	tables.EventUnconfirmed: queue.Unconfirmed, tables.EventForNoUpstream: queue.Delivered, tables.EventTombstone: policy.Tombstone,
}

// endedBefore returns up to limit seqs, without those that cannot be read.
func (t *tx) endedBefore(text string, limit int, args ...driver.Value) (seqs []int64, err error) {
	if limit <= 0 {
		return nil, nil
	}
	err = t.c.Query(context.Background(), text, func(row []driver.Value) error {
		if seq, _ := row[0].(int64); !t.q.unreadable.has(seq) {
			seqs = append(seqs, seq)
		}
		if len(seqs) == limit {
			return tables.ErrStop
		}
		return nil
	}, args...)
	return seqs, err
}

// expire takes an event out of the store, or leaves a tombstone.
func (t *tx) expire(seq int64) error {
	return t.changeReadable(seq, func(r *tables.Record) bool {
		return r.Expire(t.age, t.settings)
	})
}

// changeReadable changes an event, and leaves one that cannot be read as it is.
func (t *tx) changeReadable(seq int64, change func(*tables.Record) bool) error {
	err := t.change(seq, change)
	if errors.Is(err, policy.ErrDamaged) {
		t.q.foundUnreadable(seq, fmt.Errorf("looking for events whose retention has ended: %w", err))
		return nil
	}
	return err
}
