package boltqueue

// The room on the disk that is taken ahead of what the file holds.
const (
	// reserveBytes is kept free within the file when something is stored, so
	// that outcomes and purges can be written when the disk is full: bbolt
	// writes a changed page to another place, and only then is the old one free.
	reserveBytes = 2 << 20

	// reserveStep is how much is taken at once, where there is as much.
	reserveStep = 8 << 20

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
	err := allocate(f.os, from, end+need+reserveStep-from)
	if err == nil {
		f.reserved = end + need + reserveStep
		return nil
	}
	if err = allocate(f.os, from, end+need-from); err == nil {
		f.reserved = end + need
	}
	return err
}
