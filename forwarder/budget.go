package forwarder

import "sync"

const (
	// deliveryBudget is how many bytes of payloads all attempts of a
	// Dispatcher hold at once.
	deliveryBudget = 256 << 20

	// copiesHeld is how often an attempt holds its payload at most: sealed and
	// opened while it is loaded, opened and rendered after that.
	copiesHeld = 2
)

// footprint returns how many bytes an attempt holds of an event, given the size
// of its sealed record.
func footprint(size int64) int64 { return copiesHeld * size }

// A budget bounds the bytes that attempts hold at once. It is divided into
// shares, one for each upstream.
//
// A share may hold as much as it leaves free: half of the budget by itself, a
// third where two upstreams want more than that, and so on. So an upstream that
// hangs with all that it may hold still leaves the same to the next one. A share
// that holds nothing may always take one event, however large, so that no
// upstream waits for another.
//
// All shares together therefore hold no more than the budget's size and, where
// very many upstreams have very large events, one event of each.
type budget struct {
	size int64

	mu      sync.Mutex
	held    int64
	waiting []*share // those that found no room
}

// A share is one upstream's part of a budget.
type share struct {
	budget *budget
	wake   func() // called when there may be room again; must not block

	held  int64 // guarded by the budget's mutex, as is
	waits bool  // whether it is among those waiting
}

// acquire takes n bytes and reports whether they are there. Where they are not,
// wake is called when others have been released.
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

// release gives back n bytes.
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
