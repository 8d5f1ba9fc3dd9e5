package boltqueue

import (
	"context"
	"errors"
	"iter"
	"os"
	"slices"
)

// A logged is an op that is written to the journal, too.
type logged interface {
	op
	appendEntry(b []byte, number uint64) []byte
	log() *logState
}

// A logState tells where a logged op stands. It is guarded by the journal's mutex.
type logState struct {
	number uint64 // of its entry, 0 before that
	taken  bool   // whether a transaction takes it to the file
	stored bool   // whether it is in the file, or was given up
}

func (l *logState) log() *logState { return l }

// logs are the states of all that a transaction takes to the file.
func logs(ops []op) iter.Seq[*logState] {
	return func(yield func(*logState) bool) {
		for _, o := range ops {
			s, event := o.(*storing)
			if event && s.full {
				continue // it is for a later one
			}
			if o, ok := o.(logged); ok && !yield(o.log()) {
				return
			}
			if !event {
				continue
			}
			for _, with := range s.applied {
				if !yield(with.log()) {
					return
				}
			}
		}
	}
}

// mark returns the number up to which everything will be in the file when the
// changes are committed.
func (j *journal) mark(ops []op) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	for l := range logs(ops) {
		l.taken = true
	}
	mark := j.done
	for _, k := range j.kept {
		l := k.log()
		if !l.stored && !l.taken {
			return mark
		}
		mark = l.number
	}
	return j.next - 1 // above it may be what could not be written
}

// failed notes that the changes for which mark was asked are not in the file.
func (j *journal) failed(ops []op) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for l := range logs(ops) {
		l.taken = false
	}
}

// committed notes that they are, and that the file says so up to the mark.
func (j *journal) committed(ops []op, mark uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for l := range logs(ops) {
		l.stored, l.taken = l.stored || l.taken, false
	}
	j.done = mark
	passed := 0
	for passed < len(j.kept) && j.kept[passed].log().number <= mark {
		passed++
	}
	j.kept = slices.Delete(j.kept, 0, passed)
	if j.passed != nil {
		close(j.passed)
		j.passed = nil
	}
}

// keeps reports whether an op that cannot be taken to the file stays in the
// journal. If not, it is not written there any more, nor waited for.
func (j *journal) keeps(o logged) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	l := o.log()
	if _, event := o.(*storing); event && l.number != 0 {
		return true
	}
	l.stored = true
	return false
}

// sealed counts what is not in the file yet, by the key that sealed it.
func (j *journal) sealed(into map[fingerprint]int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, waiting := range [][]logged{j.pending, j.kept} {
		for _, k := range waiting {
			if s, ok := k.(*storing); ok && s.keep && !s.stored {
				into[fingerprint(s.sealed)]++
			}
		}
	}
}

// drained waits until the file has everything that is in the journal, or until
// given up, and reports whether it has.
func (j *journal) drained(ctx context.Context, givenUp <-chan struct{}) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	last := j.next - 1
	for j.holds(last) {
		if j.passed == nil {
			j.passed = make(chan struct{})
		}
		passed := j.passed
		j.mu.Unlock()
		select {
		case <-passed:
		case <-givenUp:
		case <-ctx.Done():
		}
		j.mu.Lock()
		select {
		case <-passed:
		default:
			return false
		}
	}
	return true
}

// holds reports whether something up to the number is not in the file yet. j.mu
// is held.
func (j *journal) holds(last uint64) bool {
	return slices.ContainsFunc(j.kept, func(k logged) bool { return !k.log().stored && k.log().number <= last })
}

// behind reports whether something is in the journal that is not in the file.
func (j *journal) behind() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.holds(j.next)
}

// remove removes the file of a journal that is closed, unless it holds something
// that is not in the queue file.
func (j *journal) remove() error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.holds(j.next) {
		return nil
	}
	if err := os.Remove(j.path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}
