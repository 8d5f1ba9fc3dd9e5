package postgresqueue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

const (
	// resealStep is the maximum number of events that one transaction reseals.
	resealStep = 50

	// resealBytes is the size of payloads after which a transaction reseals no further event:
	// all of them are in memory, and stores wait.
	resealBytes = 8 << 20

	// resealEvery is how often to look for events that another node has sealed with an older
	// key.
	resealEvery = time.Minute
)

// An execer is a connection or a transaction.
type execer interface {
	Exec(ctx context.Context, text string, args ...any) (pgconn.CommandTag, error)
}

// reseal reseals events whenever the keys have changed, and from time to time, until the
// queue is closed.
func (q *Queue) reseal() {
	timer := time.NewTicker(resealEvery)
	defer timer.Stop()
	events, pending := 0, false
	for {
		select {
		case <-q.ctx.Done():
			return
		case <-q.resealing:
			pending = true
		case <-timer.C:
		}
		if q.usable() != nil {
			continue
		}
		n, replaced, err := q.resealAll()
		events += n
		pending = pending || n > 0
		switch {
		case q.ctx.Err() != nil:
			return
		case err != nil:
			q.notice(q.options.name(), "resealing events with the first key failed and is tried again: "+err.Error())
		case pending && replaced && q.options.OnResealed != nil:
			q.options.OnResealed(events)
			events, pending = 0, false
		}
	}
}

// toReseal selects events that are sealed with an older key of this node, if it seals with the
// newest key: at least one, and no further one after so many bytes.
const toReseal = `
	SELECT s.seq FROM (
		SELECT f.seq, f.size, sum(f.size) OVER (ORDER BY f.seq) AS bytes FROM (
			SELECT e.seq, e.size FROM scribegate.event e
			WHERE e.size > 0 AND e.key = ANY($1) AND e.key <> $2 AND e.seq > $3
				AND NOT EXISTS (SELECT FROM scribegate.key k JOIN scribegate.key mine ON mine.fingerprint = $2 WHERE k.since > mine.since)
			ORDER BY e.seq LIMIT $4) f) s
	WHERE s.bytes - s.size < $5 ORDER BY s.seq`

const isReplaced = `
	SELECT EXISTS (SELECT FROM scribegate.key k JOIN scribegate.key mine ON mine.fingerprint = $2 WHERE k.fingerprint = ANY($1) AND k.since < mine.since)
		AND NOT EXISTS (SELECT FROM scribegate.key k JOIN scribegate.key mine ON mine.fingerprint = $2 WHERE k.since > mine.since)
		AND NOT EXISTS (SELECT FROM scribegate.node WHERE sealer <> $2)`

// resealAll reseals all events that an older key sealed. It reports whether the first key has
// replaced another key of this node, so that none but the first is needed: it is the newest,
// and all nodes seal with it.
func (q *Queue) resealAll() (events int, replaced bool, err error) {
	for last := int64(0); ; {
		sealer := tables.KeyNumber(q.ring.Load().Sealer())
		rows, err := q.pool.Query(q.ctx, q.in(toReseal), q.keys(), sealer, last, resealStep, resealBytes)
		if err != nil {
			return events, false, err
		}
		seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		if err != nil {
			return events, false, err
		}
		if len(seqs) == 0 {
			err = q.pool.QueryRow(q.ctx, q.in(isReplaced), q.keys(), sealer).Scan(&replaced)
			return events, replaced, err
		}
		done := 0
		err = q.do(q.ctx, func(t *tx) (err error) {
			done, err = t.reseal(seqs)
			return err
		})
		if err != nil {
			return events, false, err
		}
		events += done
		last = seqs[len(seqs)-1]
	}
}

// reseal reseals events with the first key, and returns how many. Events that cannot be
// opened stay unchanged.
func (t *tx) reseal(seqs []int64) (done int, err error) {
	if err := t.lock(seqs); err != nil {
		return 0, err
	}
	ring := t.q.ring.Load()
	for _, seq := range seqs {
		r := t.load(seq)
		if r == nil || r.Size == 0 || r.Key == ring.Sealer() {
			continue // deleted or resealed meanwhile
		}
		sealed, err := t.loadPayload(seq)
		if err != nil {
			return 0, err
		}
		if sealed, err = ring.Reseal(r.ID, sealed); err != nil {
			t.q.unreadable.Store(seq, struct{}{})
			continue
		}
		after := r.Clone()
		after.Key, after.Size = ring.Sealer(), int64(len(sealed))
		t.payloads[seq] = sealed
		t.set(after)
		done++
	}
	return done, nil
}
