package memtable

import (
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	// manyUnfiled is how many events may be unfiled before the older half is filed.
	manyUnfiled = 512

	// FileAfter is how long an event is unfiled at most.
	FileAfter = 100 * time.Millisecond
)

// Unfiled are the newest events: those that have a row in table payload and no rows in
// event and delivery yet.
//
// What an answer waits for is one row at the end of one table. By the time an event is
// filed, a moment later and together with others, most are delivered: their rows are
// written once, in their last state, and their payload is deleted. Until then this is
// where their state is. A crash loses it: then they are pending, as they were stored.
//
// The records in it are never changed.
type Unfiled struct {
	mu        sync.RWMutex
	records   map[int64]*tables.Record
	seqs      []int64 // in their order
	oldest    time.Time
	postponed time.Time // nothing is filed before, unless it must be
}

// Clear removes all events.
func (u *Unfiled) Clear() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.records, u.seqs = make(map[int64]*tables.Record), nil
}

// Add adds an event that has just become durable, or is not filed in a store that has
// been opened.
func (u *Unfiled) Add(r *tables.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.seqs) == 0 {
		u.oldest = time.Now()
	}
	u.records[r.Seq] = r
	u.seqs = append(u.seqs, r.Seq)
}

// Change puts an event's new state in place of the old one.
func (u *Unfiled) Change(r *tables.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.records[r.Seq] != nil {
		u.records[r.Seq] = r
	}
}

// Remove removes an event that was deleted.
func (u *Unfiled) Remove(seq int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.records, seq)
	u.seqs = slices.DeleteFunc(u.seqs, func(s int64) bool { return s == seq })
}

// Filed removes the events up to the seq, which are in the tables now.
func (u *Unfiled) Filed(seq int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	n, found := slices.BinarySearch(u.seqs, seq)
	if found {
		n++
	}
	for _, s := range u.seqs[:n] {
		delete(u.records, s)
	}
	u.seqs = slices.Delete(u.seqs, 0, n)
	u.oldest = time.Now()
}

// Get returns the event with the seq, or nil.
func (u *Unfiled) Get(seq int64) *tables.Record {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return u.records[seq]
}

// All returns all events, oldest first.
func (u *Unfiled) All() []*tables.Record {
	u.mu.RLock()
	defer u.mu.RUnlock()
	all := make([]*tables.Record, len(u.seqs))
	for i, seq := range u.seqs {
		all[i] = u.records[seq]
	}
	return all
}

// Len returns how many events there are.
func (u *Unfiled) Len() int {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return len(u.seqs)
}

// Overdue returns how many events are to be filed now: the older half of many, or all
// after a moment.
func (u *Unfiled) Overdue() int {
	u.mu.RLock()
	defer u.mu.RUnlock()
	switch n := len(u.seqs); {
	case time.Now().Before(u.postponed):
		return 0
	case n >= manyUnfiled:
		return n / 2
	case n > 0 && time.Since(u.oldest) >= FileAfter:
		return n
	}
	return 0
}

// Until returns how long nothing has to be filed.
func (u *Unfiled) Until() time.Duration {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if len(u.seqs) == 0 {
		return time.Hour
	}
	return max(0, FileAfter-time.Since(u.oldest), time.Until(u.postponed))
}

// Postpone has no event overdue for a time.
func (u *Unfiled) Postpone(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.postponed = time.Now().Add(d)
}
