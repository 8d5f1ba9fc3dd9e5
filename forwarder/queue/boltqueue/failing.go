package boltqueue

// part parts ops that could not be committed together: first all that needs no
// room, since it makes some; where all are of one kind, half of them, since fewer
// changes need less of what is free. One op has no first part.
func part(ops []op) (first, rest []op) {
	for _, o := range ops {
		if needsRoom(o) {
			rest = append(rest, o)
		} else {
			first = append(first, o)
		}
	}
	switch {
	case len(ops) == 1:
		return nil, ops
	case len(first) > 0 && len(rest) > 0:
		return first, rest
	}
	half := len(ops) / 2
	return ops[:half:half], ops[half:]
}

// needsRoom reports whether an op makes the file hold more.
func needsRoom(o op) bool {
	switch o.(type) {
	case *storing, *indexing, probing:
		return true
	}
	return false
}

// A probing is tried at each sweep while writing fails: it needs as much room as
// an event of ordinary size, so that it is known when events can be stored again
// although none comes.
type probing struct{}

func (probing) apply(t *txn) error {
	t.stored += probeBytes
	t.dirty = true
	return nil
}

func (probing) done(error) {}

// probeBytes is what an event of ordinary size takes up.
const probeBytes = 4 << 10

// succeeded and failed tell whoever wants to know whether events can be stored.
// That outcomes can be written says little: they need less room.
func (q *Queue) succeeded() {
	if q.failing.Swap(false) && q.onFailure != nil {
		q.onFailure(nil)
	}
}

func (q *Queue) failed(err error) {
	q.failing.Store(true)
	if q.onFailure != nil {
		q.onFailure(err)
	}
}
