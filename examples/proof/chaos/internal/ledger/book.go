package ledger

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// A Book records the outcome of each request: the acknowledged events, and the number of each other
// outcome. It is kept when the gateway restarts.
type Book struct {
	mu           sync.Mutex
	acknowledged map[string][]string // the upstreams of an event, by its id; nil means all
	outcomes     map[string]int
	slowest      time.Duration
}

// NewBook returns an empty book.
func NewBook() *Book {
	return &Book{acknowledged: make(map[string][]string), outcomes: make(map[string]int)}
}

// The outcomes of a request without a plain status.
const (
	Duplicate = "200 duplicate"
	Refused   = "connection refused"
	Cut       = "connection cut"
	Timeout   = "timeout"
	Malformed = "malformed answer"
	WithoutID = "200 without an id"
)

// Acknowledge records an answer 200 and its time.
func (b *Book) Acknowledge(id string, upstreams []string, again bool, took time.Duration) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.acknowledged[id] = upstreams
	outcome := "200"
	if again {
		outcome = Duplicate
	}
	b.outcomes[outcome]++
	b.slowest = max(b.slowest, took)
}

// Record counts any other outcome.
func (b *Book) Record(outcome string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.outcomes[outcome]++
}

// Events returns the number of acknowledged events.
func (b *Book) Events() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return len(b.acknowledged)
}

// SlowestSince returns the longest time of an answer 200 since the last call.
func (b *Book) SlowestSince() time.Duration {
	b.mu.Lock()
	defer b.mu.Unlock()
	slowest := b.slowest
	b.slowest = 0
	return slowest
}

// Snapshot returns the events that are acknowledged so far, with their upstreams.
func (b *Book) Snapshot() map[string][]string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return maps.Clone(b.acknowledged)
}

// Others formats the outcomes other than "200", such as "503 × 2".
func (b *Book) Others() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var parts []string
	for _, outcome := range slices.Sorted(maps.Keys(b.outcomes)) {
		if outcome != "200" {
			parts = append(parts, fmt.Sprintf("%s × %s", outcome, table.Thousands(b.outcomes[outcome])))
		}
	}
	return strings.Join(parts, ", ")
}

// Only returns an error if a request had another outcome than these.
func (b *Book) Only(outcomes ...string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for outcome, n := range b.outcomes {
		if !slices.Contains(outcomes, outcome) {
			return fmt.Errorf("unexpected outcomes of requests: %s × %d", outcome, n)
		}
	}
	return nil
}

// Count returns the number of requests with an outcome.
func (b *Book) Count(outcome string) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.outcomes[outcome]
}
