package boltqueue

import (
	"go.etcd.io/bbolt"
)

// knows reports whether an event is in the file, as far as that is told here: the
// journal looks at what it takes, at all of a group at once. No store of the event
// may be under way: readers see a transaction a moment before it is on stable
// storage.
func (q *Queue) knows(id string) (known bool) {
	if q.recent.seq(id) != 0 {
		return true
	}
	if q.journal.takes(1) {
		return false
	}
	_ = q.view(func(tx *bbolt.Tx) error { // where it cannot be read, the transaction decides
		known = lookUp(tx, id, 0).seq != 0
		return nil
	})
	return known
}

// unheardOf reports whether nothing is known of an id, not even that it was there.
func (q *Queue) unheardOf(id string) (unknown bool) {
	recent := q.recent.seq(id)
	_ = q.view(func(tx *bbolt.Tx) error { // where it cannot be read, the transaction decides
		unknown = !lookUp(tx, id, recent).known
		return nil
	})
	return unknown
}

// sift looks for events that are to be written to the journal, and of which no
// other store is under way. Those of which nothing is known are alone; those that
// are in the file are answered, if no transaction does that. It returns the others,
// and those that were answered.
func (q *Queue) sift(events []*storing) (rest []*storing) {
	var known []*storing
	_ = q.view(func(tx *bbolt.Tx) error { // where it cannot be read, the transaction decides
		for _, s := range events {
			switch e := lookUp(tx, s.record.id, 0); {
			case !e.known:
				s.alone.Store(true)
			case e.seq != 0:
				known = append(known, s)
			}
		}
		return nil
	})
	for _, s := range events {
		if !s.alone.Load() {
			rest = append(rest, s)
		}
	}
	q.answerDuplicates(known)
	return rest
}

// answerKnown answers the stores that wait for an event that is in the store
// already. It is called while nothing can be written, which they need not wait
// for.
func (q *Queue) answerKnown() {
	var known []*storing
	for _, s := range q.intake.unknowns() {
		s.unknown = true
		recent := q.recent.seq(s.record.id)
		_ = q.view(func(tx *bbolt.Tx) error { // where it cannot be read, it waits
			if lookUp(tx, s.record.id, recent).seq != 0 {
				known = append(known, s)
			}
			return nil
		})
	}
	q.answerDuplicates(known)
}

// answerDuplicates answers the stores of events that are in the file, but for those
// that a transaction has taken up.
func (q *Queue) answerDuplicates(known []*storing) {
	for _, s := range q.intake.drop(known) {
		s.duplicate = true
		s.done(nil)
	}
}
