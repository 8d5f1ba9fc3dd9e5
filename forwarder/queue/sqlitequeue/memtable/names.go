package memtable

import (
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	// ManyNames is the number of names at which an engine starts to write them.
	ManyNames = 1 << 16

	// namesPerEvent is the number of names that are written with each stored event:
	// more than an event adds.
	namesPerEvent = 8
)

// Names are the names of the newest events that are not in table name yet.
//
// Hashes are not ordered by time. If the names were written with their events, each
// name would be on a different page of the table, and each of these pages would have to
// be written for one name. So Names collects them. Each transaction that stores events
// then writes some of them, in the order of the hashes. At the start, an engine reads
// the names from table event, beginning with the first event after meta.named.
type Names struct {
	mu   sync.RWMutex
	seqs map[int64][]int64 // by hash

	// Used only by the writer.
	many    int
	batch   []tables.Name // the rest of the batch that is being written, in order
	through int64         // all events up to this seq are in the batch, or in the table
	count   int           // of seqs
}

// NewNames returns Names that are written when there are at least many.
func NewNames(many int) *Names { return &Names{many: many, seqs: make(map[int64][]int64)} }

// Clear removes all names.
func (n *Names) Clear() {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.seqs, n.batch, n.through, n.count = make(map[int64][]int64), nil, 0, 0
}

// Add adds names of an event.
func (n *Names) Add(names ...tables.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range names {
		n.seqs[x.Hash] = append(n.seqs[x.Hash], x.Seq)
		n.count++
	}
}

// Drop removes names that are in the table, or that their event no longer has.
func (n *Names) Drop(names ...tables.Name) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, x := range names {
		seqs := slices.DeleteFunc(slices.Clone(n.seqs[x.Hash]), func(seq int64) bool { return seq == x.Seq })
		n.count -= len(n.seqs[x.Hash]) - len(seqs)
		if n.seqs[x.Hash] = seqs; len(seqs) == 0 {
			delete(n.seqs, x.Hash)
		}
	}
}

// Find returns the seqs of the newest events that may have the name.
func (n *Names) Find(hash int64) []int64 {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return slices.Clone(n.seqs[hash])
}

// Len returns the number of names, and how many of the current batch are left to write.
// Only the writer may call it.
func (n *Names) Len() (all, batch int) { return n.count, len(n.batch) }

// A Due is the names to write to their table now.
type Due struct {
	Names   []tables.Name
	Through int64 // if not 0, the table then has the names of all events up to this seq

	batch []tables.Name // including those of events that were deleted meanwhile
}

// Due returns the names to write in a transaction that stores so many events, or nil if
// there are none. last is the newest event before the transaction.
func (n *Names) Due(events int, last int64) *Due {
	if events == 0 {
		return nil
	}
	if len(n.batch) == 0 && n.count >= n.many {
		for hash, seqs := range n.seqs {
			for _, seq := range seqs {
				n.batch = append(n.batch, tables.Name{Hash: hash, Seq: seq})
			}
		}
		slices.SortFunc(n.batch, tables.CompareNames)
		n.through = last
	}
	if len(n.batch) == 0 {
		return nil
	}
	d := &Due{batch: n.batch[:min(len(n.batch), events*namesPerEvent)]}
	for _, x := range d.batch {
		if slices.Contains(n.seqs[x.Hash], x.Seq) {
			d.Names = append(d.Names, x)
		}
	}
	if len(d.batch) == len(n.batch) {
		d.Through = n.through
	}
	return d
}

// Written removes names that are now in the table.
func (n *Names) Written(d *Due) {
	n.Drop(d.batch...)
	if n.batch = n.batch[len(d.batch):]; len(n.batch) == 0 {
		n.batch = nil
	}
}
