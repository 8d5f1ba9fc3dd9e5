package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"
)

// A book records the outcome of each request: the acknowledged events, and the number of each other
// outcome. It is kept when the gateway restarts.
type book struct {
	mu           sync.Mutex
	acknowledged map[string][]string // the upstreams of an event, by its id; nil means all
	outcomes     map[string]int
	slowest      time.Duration
}

func newBook() *book {
	return &book{acknowledged: make(map[string][]string), outcomes: make(map[string]int)}
}

// The outcomes of a request without a plain status.
const (
	duplicate = "200 duplicate"
	refused   = "connection refused"
	cut       = "connection cut"
	timeout   = "timeout"
	malformed = "malformed answer"
	withoutID = "200 without an id"
)

// acknowledge records an answer 200 and its time.
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

// record counts any other outcome.
func (b *book) record(outcome string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcomes[outcome]++
}

// events returns the number of acknowledged events.
func (b *book) events() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.acknowledged)
}

// slowestSince returns the longest time of an answer 200 since the last call.
func (b *book) slowestSince() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	slowest := b.slowest
	b.slowest = 0
	return slowest
}

// snapshot returns the events that are acknowledged so far, with their upstreams.
func (b *book) snapshot() map[string][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.acknowledged)
}

// others formats the outcomes other than "200", such as "503 × 2".
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
