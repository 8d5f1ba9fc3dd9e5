package boltqueue

import "bytes"

// A settingApart takes an event whose record cannot be read out of the index in
// which Claim or the sweep came upon it, so that it stops nothing.
//
// What is left of the event stays in the file, but cannot be told or delivered:
// nothing but its record says which event the payload is.
type settingApart struct {
	queue *Queue // nil where lane is
	lane  *lane  // whose pending delivery it was; nil where it was none
	entry entry
}

func (s *settingApart) apply(t *txn) error {
	if s.lane != nil {
		t.settled = append(t.settled, place{upstream: s.lane.name, seq: s.entry.seq})
	}
	if !t.has(s.entry.index, s.entry.key) {
		return t.err
	}
	t.del(s.entry.index, s.entry.key)
	if s.lane != nil {
		t.del(prefixWaiting+s.lane.name, seqKey(s.entry.seq))
		t.add(countPending+s.lane.name, -1)
	}
	if t.record(s.entry.seq) != nil {
		return t.err // the entry was wrong, not the record
	}
	v, whole := s.remains(t)
	key := seqKey(s.entry.seq)
	if whole && v == nil || t.has(bucketApart, key) {
		return t.err
	}
	t.put(bucketApart, key, v)
	t.add(countApart, 1)
	if whole {
		t.delRecord(s.entry.seq)
	}
	return t.err
}

// remains is what is in the place of the record. Where the page cannot be read,
// whole is false, and nothing can be deleted from it either.
func (s *settingApart) remains(t *txn) (v []byte, whole bool) {
	var damaged error // whole tells
	defer guard(&damaged, "reading a record", "")
	v = bytes.Clone(t.get(bucketEvents, seqKey(s.entry.seq)))
	return v, true
}

// done gives the claim back where the change could not be made, so that it is
// tried again. Otherwise whatever the entry was before it was damaged is looked
// for.
func (s *settingApart) done(err error) {
	switch {
	case s.lane == nil:
	case err != nil:
		s.lane.release(s.entry.seq)
	default:
		s.queue.mend()
	}
}
