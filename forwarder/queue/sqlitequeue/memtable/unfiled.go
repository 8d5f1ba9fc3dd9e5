package memtable

import (
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	// manyUnfiled is the number of unfiled events at which the older half is filed.
	manyUnfiled = 512

	// FileAfter is the maximum time for which an event is unfiled.
	FileAfter = 100 * time.Millisecond
)

// Unfiled are the newest events: they have a row in table payload, and none in tables
// event and delivery yet.
//
// The commit that a caller waits for inserts one row at the end of one table. When an
// event is filed a moment later, together with others, most deliveries have ended:
// their rows are written only once, in their last state, and the payload is deleted.
// Until then, the state of the event is only here. A crash loses this state, and the
// deliveries are pending again.
//
// The records are immutable.
type Unfiled struct {
	mu        sync.RWMutex
	records   map[int64]*tables.Record
	seqs      []int64 // in order
	oldest    time.Time
	postponed time.Time // no event is overdue before this time
}

// Clear removes all events.
func (u *Unfiled) Clear() {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.records, u.seqs = make(map[int64]*tables.Record), nil
}

// Add adds an event that was just committed, or an unfiled event of a store that is
// being opened.
func (u *Unfiled) Add(r *tables.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.seqs) == 0 {
		u.oldest = time.Now()
	}
	u.records[r.Seq] = r
	u.seqs = append(u.seqs, r.Seq)
}

// Change replaces the state of an event.
func (u *Unfiled) Change(r *tables.Record) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.records[r.Seq] != nil {
		u.records[r.Seq] = r
	}
}

// Remove removes a deleted event.
func (u *Unfiled) Remove(seq int64) {
	u.mu.Lock()
	defer u.mu.Unlock()
	delete(u.records, seq)
	u.seqs = slices.DeleteFunc(u.seqs, func(s int64) bool { return s == seq })
}

// Filed removes the events up to the seq, which are now in the tables.
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

// Len returns the number of events.
func (u *Unfiled) Len() int {
	u.mu.RLock()
	defer u.mu.RUnlock()
	return len(u.seqs)
}

// Overdue returns how many events must be filed now: the older half if there are many,
// or all after FileAfter.
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

// Until returns the time until the next event is overdue.
func (u *Unfiled) Until() time.Duration {
	u.mu.RLock()
	defer u.mu.RUnlock()
	if len(u.seqs) == 0 {
		return time.Hour
	}
	return max(0, FileAfter-time.Since(u.oldest), time.Until(u.postponed))
}

// Postpone makes no event overdue for the time d.
func (u *Unfiled) Postpone(d time.Duration) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.postponed = time.Now().Add(d)
}
