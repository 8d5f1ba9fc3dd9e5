package postgresqueue

import (
	"context"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/policy"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/tables"
)

const (
	tidyEvery   = 100 * time.Millisecond // released deliveries become free for other nodes
	clockEvery  = time.Second
	usedAtEvery = time.Hour // the time is written if no other change is
)

// housekeeping holds when each of the writer's other tasks is due.
type housekeeping struct {
	clock, sweep, usedAt time.Time
	clockReported        bool // whether OnClock was called for the present jump
}

// Housekeep implements policy.Commits.
func (q *Queue) Housekeep() time.Duration {
	if q.usable() != nil {
		return time.Second
	}
	now := time.Now()
	s := &q.steps
	if due(now, &s.clock, clockEvery) {
		q.watchClock()
	}
	if due(now, &s.sweep, sweepEvery(*q.settings.Load())) {
		if q.sweep() {
			s.sweep = now.Add(time.Millisecond)
		}
	}
	if due(now, &s.usedAt, usedAtEvery) {
		q.step(func(t *tx) error {
			t.changes.UsedAt = t.age
			return nil
		})
	}
	if _, waits := q.audit.due(queue.AuditDelay); waits {
		q.step(func(t *tx) error {
			t.audit = true
			return nil
		})
	}
	return max(time.Millisecond, min(s.clock.Sub(now), s.sweep.Sub(now), s.usedAt.Sub(now)))
}

// due reports whether the time has come, and sets the next time.
func due(now time.Time, at *time.Time, every time.Duration) bool {
	if now.Before(*at) {
		return false
	}
	*at = now.Add(every)
	return true
}

// watchClock reports a clock that has jumped ahead.
func (q *Queue) watchClock() {
	q.ages()
	q.begun.Lock()
	defer q.begun.Unlock()
	ahead := q.age.Ahead()
	if ahead > 0 && !q.steps.clockReported && q.options.OnClock != nil {
		q.options.OnClock(ahead)
	}
	q.steps.clockReported = ahead > 0
}

// tidy frees, until the queue is closed, the deliveries that this node has released, and those
// that it has leased in advance and does not claim.
func (q *Queue) tidy() {
	for q.every(tidyEvery) {
		for _, l := range q.leases.All() {
			l.Idle()
			if !l.ReleasedAny() || !l.Claiming.TryLock() { // the Claim frees them
				continue
			}
			c := claim{q: q, lease: l, node: q.node.Load()}
			ctx, cancel := context.WithTimeout(q.ctx, claimTimeout)
			err := c.free(ctx)
			cancel()
			l.Claiming.Unlock()
			if err == nil {
				q.announceTo(l.Upstream)
			}
		}
	}
}

// newly is how long an event is kept in memory after it was stored. Another node may end it,
// and does not report that.
const newly = time.Minute

// survey counts the store from time to time, and forgets what was stored before, until the queue
// is closed.
func (q *Queue) survey() {
	for q.every(countEveryNear) {
		q.recent.DropBelow(seqAt(q.now().Add(-newly)))
		q.recount()
	}
}

// every waits, and reports whether the queue can be used then. It waits on while that is not
// so, and returns false when the queue is closed.
func (q *Queue) every(d time.Duration) bool {
	for {
		select {
		case <-q.ctx.Done():
			return false
		case <-time.After(d):
		}
		if q.usable() == nil {
			return true
		}
	}
}

// step makes a change in a transaction of its own, in the writer's goroutine.
func (q *Queue) step(change func(*tx) error) bool {
	err := q.transact(change, nil)
	if err != nil && !conflicts(err) {
		q.Failed(q.explain(err))
	}
	return err == nil
}

// sweepEvery returns how often to look for events whose retention has ended.
func sweepEvery(s queue.Settings) time.Duration {
	shortest := min(s.DedupeWindow, s.DeadRetention, max(s.HistoryRetention, s.KeepDelivered))
	if s.KeepDelivered > 0 {
		shortest = min(shortest, s.KeepDelivered)
	}
	return min(max(shortest/10, time.Second), time.Minute)
}

// sweep deletes some events, payloads and ids whose retention has ended, and reports
// whether there may be more.
func (q *Queue) sweep() (more bool) {
	q.step(func(t *tx) (err error) {
		more, err = t.sweep()
		return err
	})
	return more
}

// stateNames maps the code of an event to the state that determines its retention.
var stateNames = [...]queue.State{queue.Pending, queue.Delivered, queue.Dead, queue.Quarantined, queue.Unrouted, queue.Unconfirmed}

// The statements that find what a sweep deletes. Rows that another node has locked are being
// swept by it.
const (
	endedEvents = `
		SELECT e.seq FROM scribegate.event e WHERE e.state = $1 AND e.ended_at > 0 AND e.ended_at <= $2
		ORDER BY e.ended_at LIMIT $3 FOR UPDATE SKIP LOCKED`
	keptEvents = `
		SELECT e.seq FROM scribegate.event e WHERE e.state = 1 AND e.ended_at > 0 AND e.ended_at <= $1 AND e.size > 0
		ORDER BY e.ended_at LIMIT $2 FOR UPDATE SKIP LOCKED`
	selectHorizon = `SELECT ended FROM scribegate.meta`
	forgetBuried  = `
		DELETE FROM scribegate.known WHERE id IN (
			SELECT k.id FROM scribegate.known k WHERE k.buried AND k.received_at <= $1 ORDER BY k.received_at LIMIT $2 FOR UPDATE SKIP LOCKED)`
)

func (t *tx) sweep() (more bool, err error) {
	var expired, kept []int64
	b := t.batch()
	for code := tables.EventDelivered; code <= tables.EventUnconfirmed; code++ {
		queueSeqs(b, &expired, t.q.in(endedEvents), code, t.age-int64(policy.Retention(stateNames[code], t.settings)), step)
	}
	queueSeqs(b, &kept, t.q.in(keptEvents), t.age-int64(t.settings.KeepDelivered), step)
	forgotten := int64(0)
	b.Queue(t.q.in(forgetBuried), t.age-int64(t.settings.DedupeWindow), step).Exec(count(&forgotten))
	horizon, ended := t.q.horizon(), int64(0)
	b.Queue(t.q.in(selectHorizon)).QueryRow(func(row pgx.Row) error { return row.Scan(&ended) })
	if err := t.send(b); err != nil {
		return false, err
	}
	if horizon > ended {
		t.changes.Horizon = horizon
	}
	t.publish(func() { t.q.ended.Store(max(horizon, ended)) })
	if err := t.lock(slices.Concat(expired, kept)); err != nil {
		return false, err
	}
	for _, seq := range expired {
		if r := t.load(seq); r != nil {
			t.expire(r)
		}
	}
	for _, seq := range kept {
		switch r := t.load(seq); {
		case r == nil:
		case r.EndedAt <= horizon:
			t.expire(r)
		default:
			after := r.Clone()
			after.DropPayload()
			t.set(after)
		}
	}
	return len(expired) >= step || len(kept) == step || forgotten == step, nil
}

// expire deletes an event, and its id unless that must be kept longer.
func (t *tx) expire(r *tables.Record) {
	if after := r.Clone(); after.Expire(t.age, t.settings) {
		t.bury(r)
		return
	}
	t.forget(r)
}

// queueSeqs queues a statement that returns seqs.
func queueSeqs(b *pgx.Batch, seqs *[]int64, text string, args ...any) {
	b.Queue(text, args...).Query(func(rows pgx.Rows) error {
		some, err := pgx.CollectRows(rows, pgx.RowTo[int64])
		*seqs = append(*seqs, some...)
		return err
	})
}
