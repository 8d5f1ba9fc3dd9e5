package ledger

import (
	"sync"
	"time"
)

// Pauses measure the longest time between two answers 200: of each gateway, and of all of them
// together.
type Pauses struct {
	mu      sync.Mutex
	last    map[string]time.Time
	longest map[string]time.Duration
}

// All is the name that stands for all gateways together.
const All = ""

// NewPauses returns the pauses of gateways that begin to accept now.
func NewPauses(gateways ...string) *Pauses {
	p := &Pauses{last: make(map[string]time.Time), longest: make(map[string]time.Duration)}
	for _, name := range append(gateways, All) {
		p.last[name] = time.Now()
	}
	return p
}

// Accepted records an answer 200 of a gateway. p may be nil.
func (p *Pauses) Accepted(gateway string) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now()
	for _, name := range []string{gateway, All} {
		p.longest[name] = max(p.longest[name], now.Sub(p.last[name]))
		p.last[name] = now
	}
}

// Last returns the time of the last answer 200 of a gateway.
func (p *Pauses) Last(gateway string) time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.last[gateway]
}

// Longest returns the longest pause of a gateway so far. One that has not ended counts.
func (p *Pauses) Longest(gateway string) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(p.longest[gateway], time.Since(p.last[gateway]))
}
