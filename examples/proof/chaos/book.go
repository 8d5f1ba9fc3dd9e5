package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A book is what the senders know: which events were acknowledged, and what
// became of every other request. It is kept over restarts.
type book struct {
	mu           sync.Mutex
	acknowledged map[string][]string // by id, whom the event is for; nil is all
	outcomes     map[string]int
	slowest      time.Duration
}

func newBook() *book {
	return &book{acknowledged: make(map[string][]string), outcomes: make(map[string]int)}
}

// The outcomes of a request that are no status.
const (
	duplicate = "200 duplicate"
	refused   = "connection refused"
	cut       = "connection cut"
	timeout   = "timeout"
	malformed = "malformed answer"
	unnamed   = "200 without an id"
)

// acknowledge notes an answer 200 and how long it took.
func (b *book) acknowledge(id string, upstreams []string, again bool, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acknowledged[id] = upstreams
	outcome := "200"
	if again {
		outcome = duplicate
	}
	b.outcomes[outcome]++
	b.slowest = max(b.slowest, took)
}

// note notes any other outcome.
func (b *book) note(outcome string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcomes[outcome]++
}

// events is how many events were acknowledged, each counted once.
func (b *book) events() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.acknowledged)
}

// count is how many requests had an outcome.
func (b *book) count(outcome string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outcomes[outcome]
}

// slowestSince returns the longest time that an answer 200 took since the last
// call.
func (b *book) slowestSince() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	slowest := b.slowest
	b.slowest = 0
	return slowest
}

// snapshot returns the events that were acknowledged so far, and whom each is
// for.
func (b *book) snapshot() map[string][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.acknowledged)
}

// others lists the outcomes other than an acknowledgement, as "503 × 2".
func (b *book) others() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(b.outcomes)) {
		if outcome != "200" {
			parts = append(parts, fmt.Sprintf("%s × %s", outcome, thousands(b.outcomes[outcome])))
		}
	}
	return strings.Join(parts, ", ")
}
