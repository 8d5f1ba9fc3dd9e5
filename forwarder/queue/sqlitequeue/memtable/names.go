package memtable

import (
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue/sqlitequeue/tables"
)

const (
	// ManyNames is how many names an engine collects.
	ManyNames = 1 << 16

	// namesPerEvent is how many names are written with each event that is stored
	// meanwhile: more than come with it.
	namesPerEvent = 8
)

// Names are those of the newest events, which are not in table name yet.
//
// Hashes have no order in time: written with their events, those of each transaction
// would lie on as many pages of the table as there are names, and each page would have
// to be written for one of them. So they are collected, and written in the order of
// the hashes, some with every transaction that stores events. What is in memory is
// read from table event at the start, beginning with the first event after meta.named.
type Names struct {
	mu   sync.RWMutex
	seqs map[int64][]int64 // by the hash

	// The writer's own.
	many    int
	batch   []tables.Name // being written, in their order; what is left of it
	through int64         // all events up to this one are in the batch, or in the table
	count   int           // of seqs
}

// NewNames returns Names that are written once there are so many.
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

// Drop removes names that are in the table, or whose event has them no longer.
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

// Len returns how many names there are, and how many are left of a batch that is being
// written. Only the writer may call it.
func (n *Names) Len() (all, batch int) { return n.count, len(n.batch) }

// A Due is names that are to be written to their table.
type Due struct {
	Names   []tables.Name
	Through int64 // where not 0, the names of all events up to this one are in the table then

	batch []tables.Name // with those of events that were deleted meanwhile
}

// Due returns names to be written in a transaction that stores so many events; nil where
// there are none. Last is the newest event before it.
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

// Written removes names that are in the table now.
func (n *Names) Written(d *Due) {
	n.Drop(d.batch...)
	if n.batch = n.batch[len(d.batch):]; len(n.batch) == 0 {
		n.batch = nil
	}
}
