package policy

import (
	"context"
	"slices"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// The limits of one batch, so that no transaction takes long, and of the outcomes that
// may wait for a batch.
const (
	maxBatchOutcomes = 128
	maxBatchStores   = 256
	maxBatchBytes    = 16 << 20 // of sealed payloads
	maxBatchComplete = 4 << 20  // bytes of completed events, which delay the stores
	maxOutcomes      = 4096     // waiting; above this, Claim returns nothing
	maxCompleted     = 64 << 20 // bytes of the waiting completed events; above this, Claim returns no completion
	fewOutcomes      = 32       // are committed together with any store, and are not split if there is not enough room
	maxRefused       = 3        // tries of a completed event for which there is not enough room
)

// A Batch is a set of changes that the engine commits in one transaction: outcomes and
// stores, or one task alone.
type Batch struct {
	Outcomes []*Outcome
	Stores   []*Store
	Probe    bool // whether to write as if there were a store, to find out whether storing works
	Task     *Task
}

// NeedsRoom reports whether the batch needs room for an event.
func (b *Batch) NeedsRoom() bool { return len(b.Stores) > 0 || b.Probe }

// Completes reports whether an outcome of the batch replaces a stored event.
func (b *Batch) Completes() bool { return slices.ContainsFunc(b.Outcomes, (*Outcome).completes) }

// A Store is an event that waits to be stored.
type Store struct {
	Item   queue.Item
	Event  *Event // as it is stored; unchanged until the commit
	Sealed []byte // nil if the payload is not kept

	// Set by the engine's commit.
	Duplicate bool
	Full      bool // there is not enough room, and nothing was stored

	// Seq is the sequence number under which a commit tried to store the event, if the
	// answer to that commit was lost; else 0. The engine sets it, and looks it up.
	Seq int64

	ctx   context.Context //nolint:containedctx // it ends the wait, and with it the store
	cause error           // why the store still waits; guarded by the writer's mutex
	done  chan error      // receives one error
	asked bool            // whether the writer has asked the engine if the event is known
}

// DuplicateOf reports whether the store is a duplicate of an event that is in the storage
// with the same id. A tombstone counts only within the dedupe window.
func (s *Store) DuplicateOf(e *Event, now int64, settings queue.Settings) bool {
	return s.Item.Recovered && e.SetAside != Tombstone || e.Duplicate(now, settings)
}

// An Outcome is the outcome of an attempt, waiting to be recorded.
type Outcome struct {
	queue.Outcome

	refused int // how often there was no room for it alone
}

// completes reports whether the outcome replaces the stored event.
func (o *Outcome) completes() bool { return o.Event != nil }

// Bytes returns about how many bytes the outcome adds to the storage and holds in memory,
// or 0 if it is small.
func (o *Outcome) Bytes() int {
	if o.Event == nil {
		return 0
	}
	return o.Event.BinarySize()
}

// A Task is a change in a transaction of its own. After a failure, do may be called
// again with another transaction. It must change nothing outside the transaction.
type Task struct {
	Do   func(tx any) error
	done chan error // receives one error
}

// parts splits a failed batch into the parts that are retried. If the storage is
// damaged, every change is retried alone, so that only the changes that touch the
// damage fail. Otherwise outcomes are retried separately from stores, since outcomes
// need no room and may free some. If there is not enough room for all stores, there may be
// enough for the older half. Completed events are retried one by one, after the other
// outcomes. A batch that cannot be split is returned as its only part.
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
	case noRoom && len(b.Outcomes) > 1 && b.Completes():
		var small *Batch
		var parts []*Batch
		for _, o := range b.Outcomes {
			switch {
			case o.completes():
				parts = append(parts, &Batch{Outcomes: []*Outcome{o}})
			case small == nil:
				small = &Batch{Outcomes: []*Outcome{o}}
			default:
				small.Outcomes = append(small.Outcomes, o)
			}
		}
		if small != nil {
			parts = slices.Insert(parts, 0, small)
		}
		return parts
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
