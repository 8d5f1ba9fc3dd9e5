package sqlitequeue

import (
	"maps"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/verifier/event"
)

// maxRecent bounds the events that are kept in memory, in bytes of their sealed
// payloads.
const maxRecent = 4 << 20

// recent keeps the events that were just stored, so that they are delivered without
// being read and opened. It holds nothing that the table has not.
type recent struct {
	mu     sync.Mutex
	events map[int64]recentEvent
	bytes  int
	max    int
}

type recentEvent struct {
	event     *event.Event
	upstreams []string // that it waits for
	size      int
}

func newRecent() *recent { return &recent{events: make(map[int64]recentEvent), max: maxRecent} }

// add keeps an event while there is room: with a backlog nothing is gained by it.
func (r *recent) add(seq int64, e *event.Event, upstreams []string, size int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.bytes+size > r.max {
		return
	}
	r.events[seq] = recentEvent{e, upstreams, size}
	r.bytes += size
}

func (r *recent) get(seq int64) *event.Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.events[seq].event
}

// settled notes that an event does not wait for an upstream any more.
func (r *recent) settled(seq int64, upstream string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e, ok := r.events[seq]; ok {
		e.upstreams = slices.DeleteFunc(slices.Clone(e.upstreams), func(u string) bool { return u == upstream })
		r.events[seq] = e
	}
}

// all returns all events, in their order.
func (r *recent) all() (seqs []int64, events []recentEvent) {
	r.mu.Lock()
	defer r.mu.Unlock()
	seqs = slices.Sorted(maps.Keys(r.events))
	for _, seq := range seqs {
		events = append(events, r.events[seq])
	}
	return seqs, events
}

func (r *recent) drop(seq int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bytes -= r.events[seq].size
	delete(r.events, seq)
}

// clear drops all, since events that are here may have been deleted.
func (r *recent) clear() {
	r.mu.Lock()
	defer r.mu.Unlock()
	clear(r.events)
	r.bytes = 0
}
