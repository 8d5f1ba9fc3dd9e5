package forwarder

import "sync"

const (
	// deliveryBudget is how many bytes of payloads all attempts of a
	// Dispatcher hold at once.
	deliveryBudget = 256 << 20

	// copiesHeld is how many copies of its payload an attempt holds at most: sealed
	// and opened while it is loaded, opened and rendered after that.
	copiesHeld = 2
)

// footprint returns how many bytes of an event an attempt holds in memory, given the
// size of its sealed record.
func footprint(size int64) int64 { return copiesHeld * size }

// A budget bounds the bytes that attempts hold at once. It is divided into
// shares, one for each upstream.
//
// A share may hold as many bytes as are free after it: half of the budget if it is
// alone, a third if two shares want that much, and so on. So an upstream that hangs
// always leaves the next upstream as much as it holds itself. An empty share may
// always acquire one event, even a very large one, so no upstream waits for another.
//
// All shares together therefore hold at most the budget's size, and in addition,
// with very many upstreams and very large events, one event for each upstream.
type budget struct {
	size int64

	mu      sync.Mutex
	held    int64
	waiting []*share // shares whose acquire failed
}

// A share is one upstream's part of a budget.
type share struct {
	budget *budget
	wake   func() // called when there may be room again; must not block

	held  int64 // guarded by the budget's mutex, as is
	waits bool  // whether it is among those waiting
}

// acquire acquires n bytes and reports whether they were available. If not, wake is
// called after others have been released.
func (s *share) acquire(n int64) bool {
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if s.held > 0 && s.held+n > b.size-b.held-n {
		if !s.waits {
			s.waits = true
			b.waiting = append(b.waiting, s)
		}
		return false
	}
	s.held += n
	b.held += n
	return true
}

// release releases n bytes.
func (s *share) release(n int64) {
	b := s.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	s.held -= n
	b.held -= n
	for _, w := range b.waiting {
		w.waits = false
		w.wake()
	}
	b.waiting = b.waiting[:0]
}
