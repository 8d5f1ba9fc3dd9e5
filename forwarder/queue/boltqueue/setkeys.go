package boltqueue

// KeyFile returns the file of the automatic key that seals, "" where keys were
// given. Whoever has the disk has that key too, so the user should be warned.
func (q *Queue) KeyFile() string { return q.ring.Load().file }

// SetKeys replaces the keys as Open would take them. Where an event in the
// store could not be opened then, it returns an error and changes nothing. What
// an older key has sealed is sealed anew in the background.
func (q *Queue) SetKeys(keys []Key) error {
	s := &settingKeys{queue: q, keys: keys, answer: make(chan error, 1)}
	if err := q.intake.do(s); err != nil {
		return err
	}
	return <-s.answer
}

// A settingKeys is a change of keys that waits for its turn among the changes,
// so that no payload is committed whose key has just been replaced: a store that
// comes after it looks at the new keys.
type settingKeys struct {
	queue  *Queue
	keys   []Key
	answer chan error // holds one

	old     *keyring // to put back
	refused error
}

func (s *settingKeys) apply(t *txn) error {
	sealed := t.base.sealed()
	for f, n := range t.delta.sealed() {
		sealed[f] += max(0, n) // what this transaction deletes may yet stay
	}
	s.queue.journal.sealed(sealed)
	var ring *keyring
	if ring, s.refused = resolveKeys(s.queue.file.path, s.keys, sealed); s.refused != nil {
		return nil
	}
	if old := s.queue.ring.Swap(ring); s.old == nil {
		s.old = old
	}
	return nil
}

func (s *settingKeys) done(err error) {
	if err == nil {
		err = s.refused
	}
	if err != nil && s.old != nil {
		s.queue.ring.Store(s.old)
	}
	s.queue.resealer.look()
	s.answer <- err
}
