package boltqueue

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// sweepSlice is how many entries one transaction sweeps, so that accepting is
// never held up.
const sweepSlice = 200

// noteEvery is how often the time is written to the file while nothing else is, and
// noteAtEnd how old what is written there may be at the end.
const (
	noteEvery = time.Hour
	noteAtEnd = time.Minute
)

// sweepEvery is how often the sweep looks: each second, or more often where a
// retention is shorter.
func sweepEvery(s queue.Settings) time.Duration {
	every := time.Second
	for _, d := range []time.Duration{s.DedupeWindow, s.DeadRetention, s.HistoryRetention, s.KeepDelivered} {
		if d > 0 {
			every = min(every, max(d/2, 10*time.Millisecond))
		}
	}
	return every
}

// A sweeping deletes what has been kept for as long as the settings say. It
// goes by when events ended and not by a date set then, so that settings that
// change apply at once.
type sweeping struct {
	queue *Queue

	more bool // whether something is left to sweep
	left int
}

func (s *sweeping) apply(t *txn) error {
	s.queue.doubtClock()
	s.more, s.left = false, sweepSlice
	keep := int64(t.settings.KeepDelivered)
	s.sweep(t, bucketHeld, keep, (*txn).dropHeld)
	for c, retention := range map[class]int64{
		classDelivered:   max(int64(t.settings.HistoryRetention), keep),
		classDead:        int64(t.settings.DeadRetention),
		classQuarantined: int64(t.settings.DeadRetention),
	} {
		s.sweep(t, prefixEnded+string(c), retention, (*txn).remove)
	}
	s.sweepHusks(t)
	return t.err
}

func (s *sweeping) done(error) {}

// noteTime writes the time to the file for the next start: with whatever else
// changes, or if what is there is older than that.
func (t *txn) noteTime(than time.Duration) {
	since := t.age - t.base[countTime]
	if t.dirty || since >= int64(than) {
		t.add(countTime, since)
		t.dirty = true
	}
}

// noteEnd writes down when the queue was closed. Where it fails, the next start does
// not believe the clock at once.
func (q *Queue) noteEnd() {
	t, err := q.begin()
	if err != nil {
		return
	}
	if t.noteTime(noteAtEnd); t.dirty {
		_ = q.commit(t)
		return
	}
	q.rollback(t)
}

// doubtClock reports a clock that has jumped ahead by more than a retention, once
// for each jump.
func (q *Queue) doubtClock() {
	s, ahead := q.settings.Load(), q.age.Ahead()
	far := ahead > 0 && ahead >= min(s.DeadRetention, s.HistoryRetention)
	if far && !q.doubted && q.onClock != nil {
		q.onClock(ahead)
	}
	q.doubted = far
}

// sweep handles the events of a schedule whose end is at least retention ago.
func (s *sweeping) sweep(t *txn, schedule string, retention int64, handle func(*txn, uint64, *record)) {
	for _, key := range s.due(t, schedule, retention) {
		_, seq := parseTimeSeq(key)
		r := t.record(seq)
		if r == nil {
			e := settingApart{entry: entry{index: schedule, key: key, seq: seq}}
			t.fail(e.apply(t))
			continue
		}
		handle(t, seq, r)
		t.del(schedule, key) // it is gone already, unless the record disagrees with it
	}
}

func (s *sweeping) sweepHusks(t *txn) {
	for _, key := range s.due(t, bucketHusks, int64(t.settings.DedupeWindow)) {
		t.forgetName(key[8:], int64(parseSeq(key[:8]))) // timeKey wrote it
	}
}

// due takes the keys of a schedule, which begin with a time, that are at least
// retention old: as many as are left of the slice.
func (s *sweeping) due(t *txn, schedule string, retention int64) [][]byte {
	b := t.bucket(schedule)
	if b == nil {
		return nil
	}
	var keys [][]byte
	cur := b.Cursor()
	for k, _ := cur.First(); len(k) > 8; k, _ = cur.Next() {
		if int64(parseSeq(k[:8])) > t.age-retention { // timeKey wrote it
			break
		}
		if s.left == 0 {
			s.more = true
			break
		}
		s.left--
		keys = append(keys, append([]byte(nil), k...))
	}
	return keys
}

// dropHeld deletes the payload of a delivered event.
func (t *txn) dropHeld(seq uint64, r *record) {
	t.dropPayload(seq, r)
	t.putRecord(seq, r)
}
