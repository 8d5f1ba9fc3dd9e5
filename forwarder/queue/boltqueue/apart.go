package boltqueue

// A settingApart takes an event whose record cannot be read out of the index in
// which Claim or the sweep came upon it, so that it stops nothing.
//
// What is left of the event stays in the file, but cannot be told or delivered:
// nothing but its record says which event the payload is.
type settingApart struct {
	lane  *lane // whose pending delivery it was; nil where it was none
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
	key := seqKey(s.entry.seq)
	v := t.get(bucketEvents, key)
	if v == nil || t.record(s.entry.seq) != nil {
		return t.err
	}
	t.put(bucketApart, key, append([]byte(nil), v...))
	t.del(bucketEvents, key)
	t.add(countApart, 1)
	return t.err
}

// done gives the claim back where the change could not be made, so that it is
// tried again.
func (s *settingApart) done(err error) {
	if err != nil && s.lane != nil {
		s.lane.release(s.entry.seq)
	}
}
