package boltqueue

import (
	"context"
	"errors"
	"os"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A journal is where events are made durable first, beside the queue file: one
// write and one sync for all that have come together, where a commit to the file
// takes two syncs and a write for each page. Whoever stores an event is answered
// when it is in the journal; it is still taken to the file, with many others,
// and until then the journal keeps it. What the journal has no room for, or
// cannot take, is answered when it is in the file.
//
// The file tells up to which entry everything is in it, in the transaction that
// takes them there, so that nothing comes back that has been deleted since. A
// queue that is opened takes what is above that to its file, and begins a new
// journal; one that is closed has taken everything and removes it.
type journal struct {
	path     string
	identity []byte
	segment  int64
	wrote    func(took time.Duration, entries int) // after each write
	fault    func(stage string) error
	trouble  func() bool      // whether the queue file cannot be written
	offer    func([]*storing) // told of what was written
	hurry    func()           // told when somebody waits for the queue file instead

	ready   chan struct{} // holds one token when something may wait
	closing chan struct{}
	ended   chan struct{} // closed when nothing is written any more

	mu      sync.Mutex
	file    *journalFile  // nil while nothing can be written; the writing goroutine's
	open    bool          // whether there is one that takes entries
	renewal chan struct{} // closed by the next beginning of a new file; nil if none was asked for
	pending []*storing    // which wait to be written
	kept    []*storing    // which are in the journal, and above done
	buffer  []byte        // of a write
	next    uint64        // the number of the next entry
	done    uint64        // the file says that it has everything up to here
	passed  chan struct{} // closed, and replaced, whenever something was taken to the file; nil if nobody waits
}

// maxEntry is how large a sealed payload the journal takes. Larger ones take so
// long to write that others would wait for them.
const maxEntry = 1 << 20

// journalAgain is how long after a failure a new journal is begun.
const journalAgain = 10 * time.Second

func newJournal(path string, identity []byte, done uint64, segment int64) *journal {
	return &journal{
		path: journalPath(path), identity: identity, segment: segment, done: done, next: done + 1,
		ready: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
	}
}

// takes reports whether an event may be written to the journal, given its size.
func (j *journal) takes(size int) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.open && size <= maxEntry && !j.trouble()
}

// add has an event written. It is called in the order in which events are taken
// to the file.
func (j *journal) add(s *storing) {
	j.mu.Lock()
	j.pending = append(j.pending, s)
	j.mu.Unlock()
	select {
	case j.ready <- struct{}{}:
	default:
	}
}

// loop is the writing goroutine.
func (j *journal) loop() {
	defer close(j.ended)
	defer j.shut()
	again := time.NewTimer(0)
	if j.open || j.segment <= 0 { // nobody else has it yet
		again.Stop()
	}
	defer again.Stop()
	for {
		select {
		case <-j.ready:
			runtime.Gosched() // who was just answered may have more
			if err := j.write(); err != nil {
				j.shut()
				again.Reset(journalAgain)
			}
		case <-again.C:
			if !j.begin() {
				again.Reset(journalAgain)
			}
		case <-j.closing:
			return
		}
		if j.renewing() {
			j.shut()
			again.Reset(0)
		}
	}
}

// begin begins a new file, once everything that the old one holds is in the
// queue file. It returns false where that cannot be done now.
func (j *journal) begin() bool {
	if !j.drained(context.Background(), j.closing) || j.trouble() {
		return false
	}
	file, err := j.create()
	if err != nil {
		_ = os.Remove(j.path) // everything in it is in the queue file
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	j.file, j.open = file, err == nil // without, events wait for the queue file
	if j.renewal != nil {
		close(j.renewal)
		j.renewal = nil
	}
	return err == nil
}

func (j *journal) create() (*journalFile, error) {
	if err := j.fault(beforeJournal); err != nil {
		return nil, err
	}
	return createJournal(j.path, j.identity, j.segment)
}

// shut ends the writing to a file. What waits to be written waits for the queue
// file instead.
func (j *journal) shut() {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.open = false
	j.forgo(j.pending)
	j.pending = nil
	if j.file != nil {
		_ = j.file.os.Close() // what was answered has been synced
		j.file = nil
	}
}

// forgo leaves events that are not in the journal to the queue file.
func (j *journal) forgo(waiting []*storing) {
	for _, s := range waiting {
		s.journaled.Store(false)
	}
	if len(waiting) > 0 {
		j.hurry()
	}
}

func (j *journal) renewing() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.open && j.renewal != nil
}

// renew begins a new file, so that nothing is left of what was deleted from the
// queue. It does nothing where there is no journal.
func (j *journal) renew(ctx context.Context) error {
	j.mu.Lock()
	if !j.open {
		j.mu.Unlock()
		return nil
	}
	if j.renewal == nil {
		j.renewal = make(chan struct{})
	}
	renewed := j.renewal
	j.mu.Unlock()
	select {
	case j.ready <- struct{}{}:
	default:
	}
	select {
	case <-renewed:
		return nil
	case <-j.closing:
		return queue.ErrClosed
	case <-ctx.Done():
		return ctx.Err()
	}
}

// write writes what waits, and answers it.
func (j *journal) write() error {
	for {
		group, entries := j.group()
		if len(group) == 0 {
			return nil
		}
		start := time.Now()
		err := j.fault(beforeJournal)
		if err == nil {
			err = j.file.write(entries, group[len(group)-1].number)
		}
		if err != nil {
			j.lose(group)
			return err
		}
		j.wrote(time.Since(start), len(group))
		for _, s := range group {
			s.tell(answer{})
		}
		j.offer(group)
	}
}

// lose leaves events whose write has failed to the queue file. They may yet be
// in the journal, as what is committed while the power fails may be in a file.
func (j *journal) lose(group []*storing) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.kept = slices.DeleteFunc(j.kept, func(s *storing) bool { return slices.Contains(group, s) })
	for _, s := range group {
		s.number = 0
	}
	j.forgo(group)
}

// maxGroup is how many bytes are written at once, save for one entry.
const maxGroup = 1 << 20

// group takes what is written together, coded, and numbers it. Nothing is taken
// where there is no room, and what waits is left to the queue file.
func (j *journal) group() (group []*storing, entries []byte) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.file == nil {
		return nil, nil
	}
	entries = j.buffer[:0]
	for len(j.pending) > 0 && len(entries) < maxGroup {
		s := j.pending[0]
		if s.stored { // it was taken to the file meanwhile
			j.pending = j.pending[1:]
			continue
		}
		with := appendEntry(entries, j.next, &s.record, s.sealed)
		if !j.file.fits(len(with)) && (len(entries) > 0 || !j.file.turn(j.done)) {
			break
		}
		entries = with
		s.number = j.next
		j.next++
		group = append(group, s)
		j.kept = append(j.kept, s)
		j.pending = j.pending[1:]
	}
	j.buffer = entries
	if len(group) == 0 {
		j.forgo(j.pending)
		j.pending = nil
	}
	return group, entries
}

// mark returns the number up to which everything will be in the file when the
// changes are committed.
func (j *journal) mark(ops []op) uint64 {
	j.mu.Lock()
	defer j.mu.Unlock()
	for s := range stores(ops) {
		s.storing = true
	}
	mark := j.done
	for _, s := range j.kept {
		if !s.stored && !s.storing {
			return mark
		}
		mark = s.number
	}
	return j.next - 1 // above it may be what could not be written
}

// failed notes that the changes for which mark was asked are not in the file.
func (j *journal) failed(ops []op) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for s := range stores(ops) {
		s.storing = false
	}
}

// committed notes that they are, and that the file says so up to the mark.
func (j *journal) committed(ops []op, mark uint64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for s := range stores(ops) {
		s.storing = false
		s.stored = s.stored || !s.full
	}
	j.done = mark
	passed := 0
	for passed < len(j.kept) && j.kept[passed].number <= mark {
		passed++
	}
	j.kept = slices.Delete(j.kept, 0, passed)
	if j.passed != nil {
		close(j.passed)
		j.passed = nil
	}
}

// keeps reports whether an event that cannot be taken to the file stays in the
// journal; if not, it will not be written to it any more.
func (j *journal) keeps(s *storing) bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s.number != 0 {
		return true
	}
	s.stored = true
	return false
}

// sealed counts what is not in the file yet, by the key that sealed it.
func (j *journal) sealed(into map[fingerprint]int64) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, waiting := range [][]*storing{j.pending, j.kept} {
		for _, s := range waiting {
			if s.keep && !s.stored {
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

// holds reports whether an event up to the number is not in the file yet. j.mu
// is held.
func (j *journal) holds(last uint64) bool {
	return slices.ContainsFunc(j.kept, func(s *storing) bool { return !s.stored && s.number <= last })
}

// behind reports whether something is in the journal that is not in the file.
func (j *journal) behind() bool {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.holds(j.next)
}

// close ends the writing.
func (j *journal) close() {
	close(j.closing)
	<-j.ended
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
