package boltqueue

import (
	"context"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// A journal is where events are made durable first, beside the queue file: one
// write and one sync for all that have come together, where a commit to the file
// takes two syncs and a write for each page. Whoever stores an event is answered
// when it is in the journal; it is still taken to the file, with many others,
// and until then the journal keeps it. What the journal has no room for, or
// cannot take, is answered when it is in the file. Outcomes are written as well,
// so that few are lost, and few events delivered twice, where the process ends
// before they are in the file.
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
	trouble  func() bool                 // whether the queue file cannot be written
	sift     func([]*storing) []*storing // returns those events that are not to be written after all
	offer    func([]*storing)            // told of what was written
	hurry    func()                      // told when somebody waits for the queue file instead

	ready   chan struct{} // holds one token when an event may wait
	told    chan struct{} // likewise an outcome
	closing chan struct{}
	ended   chan struct{} // closed when nothing is written any more

	mu      sync.Mutex
	file    *journalFile  // nil while nothing can be written; the writing goroutine's
	open    bool          // whether there is one that takes entries
	renewal chan struct{} // closed by the next beginning of a new file; nil if none was asked for
	pending []logged      // which wait to be written
	kept    []logged      // which are in the journal, and above done
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
		ready: make(chan struct{}, 1), told: make(chan struct{}, 1), closing: make(chan struct{}), ended: make(chan struct{}),
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

// outcomeDelay is how long an outcome waits for an event with which it is written.
const outcomeDelay = 10 * time.Millisecond

// note has an outcome written, with the next events or a moment later: most often
// it is in the file by then.
func (j *journal) note(s *settling) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.open || j.trouble() {
		return
	}
	j.pending = append(j.pending, s)
	select {
	case j.told <- struct{}{}:
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
	var late <-chan time.Time // for outcomes with which no event is written
	for {
		var err error
		select {
		case <-j.ready:
			runtime.Gosched() // who was just answered may have more
			err = j.write()
		case <-j.told:
			if late == nil {
				late = time.After(outcomeDelay)
			}
		case <-late:
			late = nil
			err = j.write()
		case <-again.C:
			if !j.begin() {
				again.Reset(journalAgain)
			}
		case <-j.closing:
			return
		}
		if err != nil {
			j.shut()
			again.Reset(journalAgain)
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
func (j *journal) forgo(waiting []logged) {
	hurry := false
	for s := range stores(waiting) {
		s.journaled.Store(false)
		hurry = true
	}
	if hurry {
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

// close ends the writing.
func (j *journal) close() {
	close(j.closing)
	<-j.ended
}
