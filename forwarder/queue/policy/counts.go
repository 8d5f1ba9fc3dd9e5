package policy

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/seal"
)

// A Counter is the key of one number that a store keeps about its events.
type Counter struct {
	Kind string
	Name string // of the upstream, the stage or the key; else ""
}

// The kinds of counters.
const (
	CountBytes   = "bytes"   // of sealed payloads
	CountFirst   = "first"   // pending deliveries to an upstream that were not attempted
	CountRetry   = "retry"   // pending deliveries to an upstream that were attempted
	CountBlocked = "blocked" // pending deliveries to an upstream that are blocked
	CountDead    = "dead"    // dead deliveries to an upstream
	CountKey     = "key"     // payloads sealed by a key; the name is 8 bytes of its fingerprint
	CountState   = "state"   // events that are set aside; the name is the state
)

// Counts are the numbers that a store keeps about its events. A number of 0 is absent.
type Counts map[Counter]int64

// Add adds n times an event to the counts. To account for a changed event, call
// Add(before, -1) and Add(after, 1); nothing else changes the counts.
func (c Counts) Add(e *Event, n int64) {
	if e.Size > 0 {
		c.add(Counter{Kind: CountBytes}, n*e.Size)
		c.add(Counter{CountKey, string(e.Key[:])}, n)
	}
	if e.SetAside.SetAside() {
		c.add(Counter{CountState, string(e.SetAside)}, n)
	}
	for i := range e.Deliveries {
		d := &e.Deliveries[i]
		switch {
		case d.Blocked:
			c.add(Counter{CountBlocked, d.Upstream}, n)
		case d.First():
			c.add(Counter{CountFirst, d.Upstream}, n)
		case d.State == queue.Pending:
			c.add(Counter{CountRetry, d.Upstream}, n)
		case d.State == queue.Dead:
			c.add(Counter{CountDead, d.Upstream}, n)
		}
	}
}

func (c Counts) add(k Counter, n int64) {
	if c[k] += n; c[k] == 0 {
		delete(c, k)
	}
}

// Plus returns the sum of c and a change. Neither is changed.
func (c Counts) Plus(change Counts) Counts {
	sum := maps.Clone(c)
	if sum == nil {
		sum = make(Counts, len(change))
	}
	for k, n := range change {
		sum.add(k, n)
	}
	return sum
}

// Bytes returns the bytes of the sealed payloads.
func (c Counts) Bytes() int64 { return c[Counter{Kind: CountBytes}] }

// Keys returns how many payloads each key sealed.
func (c Counts) Keys() map[seal.Fingerprint]int64 {
	keys := make(map[seal.Fingerprint]int64)
	for k, n := range c {
		if k.Kind == CountKey && len(k.Name) == len(seal.Fingerprint{}) {
			keys[seal.Fingerprint([]byte(k.Name))] = n
		}
	}
	return keys
}

// Stats returns the counts in the form of the queue interface. The engine adds the
// numbers that only it knows, such as the leased deliveries.
func (c Counts) Stats() queue.Stats {
	s := queue.Stats{Upstreams: make(map[string]queue.UpstreamStats), Stages: make(map[string]queue.UpstreamStats)}
	for k, n := range c {
		names := s.Upstreams
		if queue.IsStage(k.Name) {
			names = s.Stages
		}
		u := names[k.Name]
		switch k.Kind {
		case CountBytes:
			s.Bytes = n
			continue
		case CountState:
			switch queue.State(k.Name) {
			case queue.Quarantined:
				s.Quarantined = n
			case queue.Unrouted:
				s.Unrouted = n
			case queue.Unconfirmed:
				s.Unconfirmed = n
			default:
			}
			continue
		case CountFirst, CountRetry:
			u.Pending += n
		case CountBlocked:
			if queue.IsStage(k.Name) {
				continue
			}
			u.Pending += n
		case CountDead:
			u.Dead += n
		default:
			continue
		}
		names[k.Name] = u
	}
	return s
}

// MarshalJSON returns the counts as an object of objects: kind, name, number.
func (c Counts) MarshalJSON() ([]byte, error) {
	m := make(map[string]map[string]int64)
	for k, n := range c {
		name := k.Name
		if k.Kind == CountKey {
			name = hex.EncodeToString([]byte(name))
		}
		if m[k.Kind] == nil {
			m[k.Kind] = make(map[string]int64)
		}
		m[k.Kind][name] = n
	}
	return json.Marshal(m)
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (c *Counts) UnmarshalJSON(b []byte) error {
	var m map[string]map[string]int64
	if err := json.Unmarshal(b, &m); err != nil {
		return fmt.Errorf("reading the counts of events: %w", err)
	}
	*c = make(Counts)
	for kind, names := range m {
		for name, n := range names {
			if kind == CountKey {
				b, err := hex.DecodeString(name)
				if err != nil {
					return fmt.Errorf("reading the counts of events: %w", err)
				}
				name = string(b)
			}
			(*c)[Counter{kind, name}] = n
		}
	}
	return nil
}
