package boltqueue

import (
	"maps"
	"slices"
	"sync"
)

// A lane is what is kept in memory for an upstream: which of its deliveries are
// claimed.
//
// Claim holds the mutex from before it begins to read until it has noted what
// it took, and a claim ends under it after the outcome is durable. So whoever
// sees a claim gone also sees its outcome, and a settled delivery is never
// claimed again out of an older state of the file.
type lane struct {
	name string

	mu sync.Mutex
	// Every first delivery below the cursor is claimed, so that Claim need
	// not pass over it again.
	cursor  uint64
	claimed map[uint64]bool // seq -> whether it was in the first index
}

// claim claims a first delivery that nobody can have read yet.
func (l *lane) claim(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.claimed[seq] = true
}

// release ends a claim without outcome.
func (l *lane) release(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	first, ok := l.claimed[seq]
	delete(l.claimed, seq)
	if ok && first {
		l.cursor = min(l.cursor, seq)
	}
}

// settle ends a claim whose outcome is durable.
func (l *lane) settle(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.claimed, seq)
}

// rewind makes Claim look at a first delivery that it has passed.
func (l *lane) rewind(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cursor = min(l.cursor, seq)
}

func (l *lane) isClaimed(seq uint64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, ok := l.claimed[seq]
	return ok
}

func (l *lane) inFlight() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.claimed)
}

// lanes are the lanes by upstream.
type lanes struct {
	mu     sync.Mutex
	byName map[string]*lane
}

// of returns the upstream's lane.
func (ls *lanes) of(upstream string) *lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byName[upstream]
	if l == nil {
		l = &lane{name: upstream, claimed: make(map[uint64]bool)}
		ls.byName[upstream] = l
	}
	return l
}

// all returns every lane that there is.
func (ls *lanes) all() []*lane {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Collect(maps.Values(ls.byName))
}
