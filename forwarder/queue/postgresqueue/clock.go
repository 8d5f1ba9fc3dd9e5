package postgresqueue

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/scribegate/scribegate/forwarder/queue/policy"
)

// slack is how far the clock of a node may be ahead of the database's: so much later than
// it was stored can an event have been received.
const slack = time.Hour

// now returns the time by the database's clock.
func (q *Queue) now() time.Time { return q.options.Now().Add(time.Duration(q.offset.Load())) }

// toDatabase returns a time by this node's clock as one by the database's.
func (q *Queue) toDatabase(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(time.Duration(q.offset.Load()))
}

// fromDatabase is the inverse of toDatabase.
func (q *Queue) fromDatabase(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.Add(-time.Duration(q.offset.Load()))
}

// readClock compares the clocks.
func (q *Queue) readClock(ctx context.Context, c *pgx.Conn) error {
	var at time.Time
	before := q.options.Now()
	if err := c.QueryRow(ctx, `SELECT clock_timestamp()`).Scan(&at); err != nil {
		return err
	}
	q.compareClock(before, at)
	return nil
}

// minOffset is the difference of the clocks below which they count as equal: a measurement
// is not more exact than the time that it takes.
const (
	minOffset  = 100 * time.Millisecond
	maxMeasure = 900 * time.Millisecond
)

// compareClock records the time of the database between before and now. It reports whether
// one of the clocks has been set since the last call.
func (q *Queue) compareClock(before time.Time, database time.Time) (set bool) {
	after := q.options.Now()
	if took := after.Sub(before); took < 0 || took >= maxMeasure {
		return false // a clock was set meanwhile, or the answer was late
	}
	if q.options.database != nil {
		database = q.options.database()
	}
	offset := database.Sub(before.Add(after.Sub(before) / 2))
	if offset.Abs() < minOffset {
		offset = 0
	}
	if (offset - time.Duration(q.offset.Load())).Abs() < minOffset {
		return false
	}
	q.offset.Store(int64(offset))
	return true
}

// ages returns the earliest and the latest possible time by the AgeClock.
func (q *Queue) ages() (age, now int64) {
	q.begun.Lock()
	defer q.begun.Unlock()
	if q.age == nil { // the database was not reached yet
		return policy.Nanos(q.now()), policy.Nanos(q.now())
	}
	earliest, latest := q.age.Now(q.now(), q.options.Elapsed())
	return policy.Nanos(earliest), policy.Nanos(latest)
}

// nodeBits are the bits of a seq that hold the node.
const nodeBits = 10

// nextSeq returns the seq of a new event, greater than all of this node before. It is used
// only by the writer.
func (q *Queue) nextSeq() int64 {
	if q.lastSeq == 0 {
		q.begun.Lock()
		q.lastSeq = q.newest
		q.begun.Unlock()
	}
	micros := max(policy.Nanos(q.now())/1000, q.lastSeq>>nodeBits+1)
	q.lastSeq = micros<<nodeBits | q.node.Load()&(1<<nodeBits-1)
	return q.lastSeq
}

// seqSince returns a lower bound of the seqs of events that were received since a time.
func seqSince(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return seqAt(t.Add(-slack))
}

// seqAt returns a lower bound of the seqs of events that a node stores after a time.
func seqAt(t time.Time) int64 { return max(0, policy.Nanos(t)/1000) << nodeBits }
