package postgresqueue

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/schema"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// keys returns the fingerprints of the keys of this node.
func (q *Queue) keys() []int64 { return *q.fingerprints.Load() }

// useRing makes this node seal and open with the ring of some keys.
func (q *Queue) useRing(ring *seal.Ring, keys []seal.Key) {
	numbers := make([]int64, 0, len(keys))
	for _, k := range keys {
		numbers = append(numbers, tables.KeyNumber(k.Fingerprint()))
	}
	q.ring.Store(ring)
	q.fingerprints.Store(&numbers)
	q.reread() // what other keys have sealed can be claimed now
}

// errWrongKey means that the store was sealed with other keys.
var errWrongKey = errors.New("none of the keys in encryption_key opens any event in the store; set the key that sealed them")

// useKeys checks the keys with which the store is sealed, and records the key that seals
// now as the newest one.
func (q *Queue) useKeys(ctx context.Context, c *pgx.Conn) error {
	var sealed, opened bool
	err := c.QueryRow(ctx, q.in(`
		SELECT EXISTS (SELECT FROM scribegate.event e WHERE e.size > 0),
			EXISTS (SELECT FROM scribegate.event e WHERE e.size > 0 AND e.key = ANY($1))`), q.keys()).Scan(&sealed, &opened)
	if err != nil {
		return err
	}
	if sealed && !opened {
		return fmt.Errorf("%w: %w", schema.ErrRefused, errWrongKey)
	}
	return q.recordSealer(ctx, c, q.ring.Load())
}

// recordSealer records that a key seals since now, unless it is the newest already.
func (q *Queue) recordSealer(ctx context.Context, c execer, ring *seal.Ring) error {
	_, err := c.Exec(ctx, q.in(`
		INSERT INTO scribegate.key AS k (fingerprint, since) VALUES ($1, clock_timestamp())
		ON CONFLICT (fingerprint) DO UPDATE SET since = excluded.since
		WHERE EXISTS (SELECT FROM scribegate.key o WHERE o.since > k.since)`), tables.KeyNumber(ring.Sealer()))
	return err
}

// CheckKeys returns the error that SetKeys would return now, and changes nothing.
func (q *Queue) CheckKeys(keys []seal.Key) error {
	ring, err := seal.NewRing(keys)
	if err != nil {
		return err
	}
	return q.checkKeys(ring)
}

// checkKeys returns an error if this node could no longer open an event that it can open
// now. Events that it cannot open now are for other nodes.
func (q *Queue) checkKeys(ring *seal.Ring) error {
	removed := slices.DeleteFunc(slices.Clone(q.keys()), func(n int64) bool { return ring.Opens(tables.Fingerprint(n)) })
	if len(removed) == 0 {
		return nil // whatever is in the store, which may be away
	}
	if err := q.usable(); err != nil {
		return err
	}
	ctx, end, err := q.reading(q.ctx)
	if err != nil {
		return err
	}
	defer end()
	var missing int64
	// The writer waits for the answer, so not all of many events are counted.
	err = q.pool.QueryRow(ctx, q.in(`SELECT count(*) FROM (SELECT FROM scribegate.event e WHERE e.size > 0 AND e.key = ANY($1) LIMIT 10000) m`), removed).Scan(&missing)
	if err != nil {
		return q.readError(err)
	}
	if missing > 0 {
		return fmt.Errorf("%d events or more in the store are sealed with a key that is not among those given; add the older key after the new one in encryption_key", missing)
	}
	return nil
}

// SetKeys replaces the keys. If an event could no longer be opened, it returns an error and
// changes nothing. Events that an older key sealed are resealed in the background.
//
// SetKeys runs between two batches: a store that was sealed before and is committed after it
// is resealed first.
func (q *Queue) SetKeys(keys []seal.Key) error {
	ring, err := seal.NewRing(keys)
	if err != nil {
		return err
	}
	return q.do(q.ctx, func(t *tx) error {
		if err := q.checkKeys(ring); err != nil {
			return err
		}
		if err := t.send(t.batch()); err != nil {
			return err
		}
		if err := q.recordSealer(t.ctx, t.c, ring); err != nil {
			return err
		}
		t.publish(func() {
			q.useRing(ring, keys)
			q.resealSoon()
		})
		return nil
	})
}

// countForeign reports how many events none of the keys opens.
func (q *Queue) countForeign(c policy.Counts) {
	var n int64
	for f, events := range c.Keys() {
		if !q.ring.Load().Opens(f) {
			n += events
		}
	}
	if q.foreign.Swap(n) != n && q.options.OnForeign != nil {
		q.options.OnForeign(n)
	}
}

func (q *Queue) resealSoon() {
	select {
	case q.resealing <- struct{}{}:
	default:
	}
}
