package policy

import (
	"context"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The bounds of one batch, so that no transaction takes long, and of the outcomes
// that may wait for one.
const (
	maxBatchOutcomes = 128
	maxBatchStores   = 256
	maxBatchBytes    = 16 << 20 // of sealed payloads
	maxOutcomes      = 4096     // waiting; with more nothing is claimed
	fewOutcomes      = 32       // go with any store, and are not parted where there is no room
)

// A Batch is what a Writer has its engine commit in one transaction: outcomes and
// stores, or one task by itself.
type Batch struct {
	Outcomes []*Outcome
	Stores   []*Store
	Probe    bool // whether to write as if there were a store, to see that it can be written
	Task     *Task
}

// NeedsRoom reports whether there must be room for an event.
func (b *Batch) NeedsRoom() bool { return len(b.Stores) > 0 || b.Probe }

// A Store is an event that waits to be stored.
type Store struct {
	Item   queue.Item
	Event  *Event // as it is stored; nothing changes it before the commit
	Sealed []byte // nil where the payload is not kept

	// What the engine's commit found.
	Duplicate bool
	Full      bool // there is no room; nothing was stored

	ctx   context.Context //nolint:containedctx // it ends the wait, and with it the store
	cause error           // why it still waits; guarded by the writer's mutex
	done  chan error      // holds one
	asked bool            // the writer's: whether the engine was asked if it is known
}

// An Outcome is the outcome of an attempt that waits to be recorded.
type Outcome struct {
	queue.Outcome
}

// A Task is a change that is made in a transaction of its own. Do may be called again
// with another transaction after the first has failed, and changes nothing else.
type Task struct {
	Do   func(tx any) error
	done chan error // holds one
}

// parts returns the parts in which a batch that failed is tried again. Where the
// storage is damaged every change is tried by itself, so that it costs only what
// touches the damage. Otherwise outcomes are tried apart from stores, since they need
// no room and make some, and where there is too little room for all, there may be enough
// for the older half. A batch that cannot be parted is its only part.
func (b *Batch) parts(damaged, noRoom bool) []*Batch {
	switch {
	case damaged && b.size() > 1:
		var parts []*Batch
		for _, o := range b.Outcomes {
			parts = append(parts, &Batch{Outcomes: []*Outcome{o}})
		}
		for _, s := range b.Stores {
			parts = append(parts, &Batch{Stores: []*Store{s}})
		}
		if b.Probe {
			parts = append(parts, &Batch{Probe: true})
		}
		return parts
	case len(b.Outcomes) > 0 && b.NeedsRoom():
		return []*Batch{{Outcomes: b.Outcomes}, {Stores: b.Stores, Probe: b.Probe}}
	case noRoom && len(b.Outcomes) > fewOutcomes:
		half := len(b.Outcomes) / 2
		return []*Batch{{Outcomes: b.Outcomes[:half:half]}, {Outcomes: b.Outcomes[half:]}}
	case noRoom && len(b.Stores) > 1:
		half := len(b.Stores) / 2
		return []*Batch{{Stores: b.Stores[:half:half]}, {Stores: b.Stores[half:], Probe: b.Probe}}
	}
	return []*Batch{b}
}

// size is the number of changes in the batch.
func (b *Batch) size() int {
	n := len(b.Outcomes) + len(b.Stores)
	if b.Probe || b.Task != nil {
		n++
	}
	return n
}
