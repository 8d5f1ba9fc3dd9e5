package boltqueue

// The room on the disk that is taken ahead of what the file holds.
const (
	// reserveBytes is kept free within the file when something is stored, so
	// that outcomes and purges can be written when the disk is full: bbolt
	// writes a changed page to another place, and only then is the old one free.
	reserveBytes = 2 << 20

	// reserveStep is how much more is taken at once, where the disk has
	// reserveTimes as much: others may need what is left of one that is nearly full.
	reserveStep  = 8 << 20
	reserveTimes = 4

	// traceBytes is what an event takes up beside its payload: its record, and
	// its keys in the indexes.
	traceBytes = 1 << 10
)

// reserve takes room for a transaction that stores something, and for those
// that may have to do without any more. On a system that cannot take room ahead
// it does nothing.
func (q *Queue) reserve(t *txn) error {
	if t.stored == 0 {
		return nil
	}
	if err := q.fault(beforeReserve); err != nil {
		return err
	}
	f := q.file
	need := 2*t.stored + reserveBytes
	if free := int64(f.db.Stats().FreePageN) * int64(f.page); free >= need {
		return nil
	}
	end := t.tx.Size()
	if end+need <= f.reserved {
		return nil
	}
	from := max(end, f.reserved)
	to := end + need + ahead(available(f.os))
	err := allocate(f.os, from, to-from)
	if err != nil && to > end+need { // a quota may leave less than the disk has
		to = end + need
		err = allocate(f.os, from, to-from)
	}
	if err != nil {
		return err
	}
	f.reserved = to
	return nil
}

// ahead tells how much more to take than is needed, given how much the disk has.
func ahead(available int64) int64 {
	if available < reserveTimes*reserveStep {
		return 0
	}
	return reserveStep
}
