package boltqueue

import (
	"runtime"
	"slices"
	"time"
)

// write writes what waits, and answers it.
func (j *journal) write() error {
	for {
		j.siftPending()
		group, entries := j.group()
		if len(group) == 0 {
			return nil
		}
		start := time.Now()
		err := j.fault(beforeJournal)
		if err == nil {
			err = j.file.write(entries, group[len(group)-1].log().number)
		}
		if err != nil {
			j.lose(group)
			return err
		}
		j.wrote(time.Since(start), len(group))
		events := slices.Collect(stores(group))
		for _, s := range events {
			s.tell(answer{})
		}
		j.offer(events)
		runtime.Gosched() // who was just answered may have more
	}
}

// siftPending takes those of the waiting events out that are not to be written.
func (j *journal) siftPending() {
	j.mu.Lock()
	var events []*storing
	for s := range stores(j.pending) {
		if !s.stored && !s.alone.Load() {
			events = append(events, s)
		}
	}
	j.mu.Unlock()
	if len(events) == 0 {
		return
	}
	rest := j.sift(events)
	if len(rest) == 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []logged
	j.pending = slices.DeleteFunc(j.pending, func(k logged) bool {
		s, ok := k.(*storing)
		if ok = ok && slices.Contains(rest, s); ok {
			out = append(out, s)
		}
		return ok
	})
	j.forgo(out)
}

// lose leaves events whose write has failed to the queue file. They may yet be
// in the journal, as what is committed while the power fails may be in a file.
func (j *journal) lose(group []logged) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kept = slices.DeleteFunc(j.kept, func(k logged) bool { return slices.Contains(group, k) })
	for _, k := range group {
		k.log().number = 0
	}
	j.forgo(group)
}

// maxGroup is how many bytes are written at once, save for one entry.
const maxGroup = 1 << 20

// group takes what is written together, coded, and numbers it. Nothing is taken
// where there is no room, and what waits is left to the queue file.
func (j *journal) group() (group []logged, entries []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil, nil
	}
	entries = j.buffer[:0]
	for len(j.pending) > 0 && len(entries) < maxGroup {
		k := j.pending[0]
		if k.log().stored { // it was taken to the file meanwhile
			j.pending = j.pending[1:]
			continue
		}
		if s, ok := k.(*storing); ok && !s.alone.Load() { // it came since they were sifted
			j.buffer = entries
			return group, entries
		}
		with := k.appendEntry(entries, j.next)
		if !j.file.fits(len(with)) && (len(entries) > 0 || !j.file.turn(j.done)) {
			break
		}
		entries = with
		k.log().number = j.next
		j.next++
		group = append(group, k)
		j.kept = append(j.kept, k)
		j.pending = j.pending[1:]
	}
	j.buffer = entries
	if len(group) == 0 {
		j.forgo(j.pending)
		j.pending = nil
	}
	return group, entries
}
