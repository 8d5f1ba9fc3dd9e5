package boltqueue

import (
	"cmp"
	"context"
	"math"
	"os"
	"slices"
	"time"

	"go.etcd.io/bbolt"
)

// identitySize is the size of what a queue file and its journal know each other
// by.
const identitySize = 16

// unstored reads the events and outcomes that only the journal of a queue file holds.
func unstored(path string, tx *bbolt.Tx) ([]journalEntry, error) {
	identity := make([]byte, identitySize) // of a file that has none, and so no journal
	if meta := tx.Bucket([]byte(bucketMeta)); meta != nil {
		copy(identity, meta.Get([]byte(journalKey)))
	}
	return readJournal(journalPath(path), identity, uint64(readCounts(tx)[countJournal])) // never negative
}

// countSealedIn adds the entries to those counted by the key that sealed them.
func countSealedIn(entries []journalEntry, sealed map[fingerprint]int64) {
	for i := range entries {
		if r := &entries[i].record; r.payload {
			sealed[r.key]++
		}
	}
}

// startJournal makes the queue's journal and intake. What only the journal of
// before holds waits for the first commit, as if it had just been told.
func (q *Queue) startJournal(o Options, identity []byte, entries []journalEntry) {
	segment := o.segment
	if segment == 0 {
		segment = segmentBytes
	}
	j := newJournal(o.Path, identity, uint64(q.counts[countJournal]), segment) // never negative
	q.journal = j
	q.intake = newIntake(j, q.room)
	j.fault, j.trouble, j.hurry = q.fault, q.failing.Load, q.intake.press
	j.sift = q.sift
	j.offer = func(events []*storing) {
		for _, upstream := range q.fresh.offer(events) {
			q.wakeUp(upstream)
		}
	}
	j.wrote = func(took time.Duration, entries int) {
		if q.onCommit != nil {
			q.onCommit(took, entries)
		}
	}
	events, outcomes := recall(entries)
	var unknown []*storing // of which the file knows nothing, not even that it was there
	for _, e := range events {
		s := &storing{ctx: context.Background(), queue: q, record: e.record, keep: e.record.payload, sealed: e.sealed, answer: make(chan answer, 1)}
		s.journaled.Store(true)
		s.number = e.number
		j.kept = append(j.kept, s)
		q.intake.note(s)
		q.intake.add(s)
		if q.unheardOf(e.record.id) {
			unknown = append(unknown, s)
		}
	}
	q.fresh.offer(unknown)
	for _, e := range outcomes {
		o, _ := e.outcome()
		s := &settling{outcome: o, logState: logState{number: e.number}}
		j.kept = append(j.kept, s)
		q.intake.outcomes = append(q.intake.outcomes, s)
	}
	slices.SortFunc(j.kept, func(a, b logged) int { return cmp.Compare(a.log().number, b.log().number) })
	if len(entries) > 0 {
		j.next = entries[len(entries)-1].number + 1
		q.intake.press()
		q.intake.signal()
		return
	}
	_ = os.Remove(j.path) // nothing in it is not in the file
	if j.segment > 0 {
		j.begin() // where it fails, the loop tries again
	}
}

// recallOutcomes takes to the file what only the journal tells of deliveries,
// before any is claimed. Where that fails it is tried again with all the rest.
func (q *Queue) recallOutcomes() {
	for len(q.intake.outcomes) > 0 {
		var ops []op
		q.intake.outcomes = takeFront(q.intake.outcomes, min(len(q.intake.outcomes), batchOutcomes), &ops)
		if q.run(ops) != nil {
			return
		}
	}
}

// catchUpTime bounds how long reading waits for the queue file: it may be that
// nothing can be written.
const catchUpTime = time.Second

// catchUp waits until what has been answered is in the file, so that whoever was
// told that an event is stored also finds it.
func (q *Queue) catchUp(ctx context.Context) {
	if !q.journal.behind() || q.failing.Load() {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, catchUpTime)
	defer cancel()
	q.intake.press()
	q.journal.drained(ctx, q.closing)
}

// room tells how many bytes of sealed payloads may be stored.
func (q *Queue) room() int64 {
	limit := q.settings.Load().MaxSize
	if limit <= 0 {
		return math.MaxInt64
	}
	return limit - q.snapshot()[countBytes]
}
