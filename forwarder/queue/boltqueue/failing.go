package boltqueue

import (
	"slices"
	"time"
)

// The waits after a failed commit.
const (
	firstBackoff = 20 * time.Millisecond
	maxBackoff   = time.Second
)

// run commits the ops. An op that fails is left out and the others are run
// again. Where the commit fails it is tried with less, what needs no room first,
// so that a disk that is nearly full holds up nothing for which there is room;
// then what could not be made is put back.
func (q *Queue) run(ops []op) error {
	left, err := q.runParts(ops)
	if err != nil {
		q.intake.back(left, err)
	}
	return err
}

// runParts returns what could not be made, in its order.
func (q *Queue) runParts(ops []op) (left []op, err error) {
	for len(ops) > 0 {
		bad, err := q.attempt(ops)
		if err == nil {
			q.backoff = 0
			return nil, nil
		}
		if bad >= 0 {
			q.giveUp(ops[bad], err)
			ops = slices.Delete(ops, bad, bad+1)
			continue
		}
		first, rest := part(ops)
		if len(first) == 0 {
			q.failed(err)
			return rest, err
		}
		if left, err := q.runParts(first); err != nil {
			return append(left, rest...), err
		}
		ops = rest
	}
	return nil, nil
}

// giveUp gives up an op that fails, unless it is an event in the journal, which
// has been answered for.
func (q *Queue) giveUp(o op, err error) {
	if k, ok := o.(logged); ok && q.journal.keeps(k) {
		q.intake.stick(k.(*storing))
		return
	}
	o.done(err)
}

// wait waits after a failed commit, longer each time. When the queue is being
// closed the first failure is the last, and wait returns false.
func (q *Queue) wait(err error) bool {
	q.backoff = min(max(firstBackoff, 2*q.backoff), maxBackoff)
	select {
	case <-time.After(q.backoff):
		return true
	case <-q.closing:
		q.closeErr = err
		q.intake.abandon(err)
		return false
	}
}

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
