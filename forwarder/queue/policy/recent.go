package policy

import (
	"maps"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/verifier/event"
)

// Recent keeps just stored events in memory, so that they are delivered without being
// read and opened. All of them are in the store too.
type Recent struct {
	max int

	mu     sync.Mutex
	events map[int64]RecentEvent
	bytes  int
}

// A RecentEvent is an event that was just stored.
type RecentEvent struct {
	Seq       int64
	Event     *event.Event
	Upstreams []string // the upstreams that still wait for the event
	Size      int      // of the sealed payload

	replaced bool // another event takes its place in the store, and Get no longer returns it
}

// NewRecent returns a Recent for at most limit bytes of sealed payloads.
func NewRecent(limit int) *Recent {
	return &Recent{max: limit, events: make(map[int64]RecentEvent)}
}

// Add keeps an event, in place of an older one with its sequence number, if there is
// room. With a backlog, keeping newer events has no benefit.
func (r *Recent) Add(e RecentEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes -= r.events[e.Seq].Size; r.bytes+e.Size > r.max {
		delete(r.events, e.Seq)
		return
	}
	r.events[e.Seq] = e
	r.bytes += e.Size
}

// Get returns the event with the sequence number, or nil.
func (r *Recent) Get(seq int64) *event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.events[seq]; !e.replaced {
		return e.Event
	}
	return nil
}

// Replacing makes Get return nil for an event that is about to be replaced in the store:
// the new one may be claimed before the caller has added it.
func (r *Recent) Replacing(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.events[seq]; ok {
		e.replaced = true
		r.events[seq] = e
	}
}

// Settle records that an upstream no longer waits for an event.
func (r *Recent) Settle(seq int64, upstream string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.events[seq]; ok {
		e.Upstreams = slices.DeleteFunc(slices.Clone(e.Upstreams), func(u string) bool { return u == upstream })
		r.events[seq] = e
	}
}

// All returns all events in order.
func (r *Recent) All() []RecentEvent {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]RecentEvent, 0, len(r.events))
	for _, seq := range slices.Sorted(maps.Keys(r.events)) {
		all = append(all, r.events[seq])
	}
	return all
}

// Bytes returns the size of the events' sealed payloads.
func (r *Recent) Bytes() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.bytes
}

// Drop removes an event.
func (r *Recent) Drop(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= r.events[seq].Size
	delete(r.events, seq)
}

// DropBelow removes all events with a lower sequence number.
func (r *Recent) DropBelow(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s, e := range r.events {
		if s < seq {
			r.bytes -= e.Size
			delete(r.events, s)
		}
	}
}

// Clear removes all events.
func (r *Recent) Clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.events)
	r.bytes = 0
}
