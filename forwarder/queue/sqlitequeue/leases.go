package sqlitequeue

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// readAhead is the number of first deliveries that are read from the table at once.
	readAhead = 256

	// maxReady is the maximum number that wait in memory for an upstream.
	maxReady = 512

	// The maximum bytes of the payloads that are read with them: of all, and of one.
	maxReadAhead = 512 << 10
	maxAhead     = 64 << 10
)

// leases holds the leases of all upstreams.
type leases struct {
	mu     sync.Mutex
	byName map[string]*lease
}

// of returns the upstream's leases.
func (ls *leases) of(upstream string) *lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byName[upstream]
	if l == nil {
		l = &lease{upstream: upstream, leased: make(map[int64]bool)}
		ls.byName[upstream] = l
	}
	return l
}

func (ls *leases) all() []*lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Collect(maps.Values(ls.byName))
}

// A lease holds the leased deliveries of an upstream and its next first deliveries.
//
// Claim holds the mutex from before it reads until it has recorded the leases. A lease
// ends under the mutex, after the outcome is durable. So a caller that sees the end of
// a lease also sees its outcome, and a settled delivery is never leased again from an
// older state of the table.
type lease struct {
	upstream string

	mu     sync.Mutex
	leased map[int64]bool

	// ready are the first deliveries below from that are not leased, in order. The
	// later ones must be read from the table or, if complete is set, there are none.
	ready    []queue.Delivery
	from     int64
	complete bool

	// payloads are the sealed payloads of deliveries that were read from the table and
	// are not loaded yet.
	payloads map[int64][]byte
}

// payload removes and returns the sealed payload of a delivery, or returns nil if it
// must be read from the table.
func (l *lease) payload(seq int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	sealed := l.payloads[seq]
	delete(l.payloads, seq)
	return sealed
}

// stored adds a first delivery that was just stored.
func (l *lease) stored(d queue.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := seqOf(d)
	switch {
	case !l.complete || seq < l.from: // it will be read from the table, or was already
	case len(l.ready) < maxReady:
		l.ready, l.from = append(l.ready, d), seq+1
	default:
		l.complete = false
	}
}

// unblocked adds a first delivery that was blocked, at its place in the order.
func (l *lease) unblocked(d queue.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := seqOf(d)
	at, found := slices.BinarySearchFunc(l.ready, seq, func(d queue.Delivery, seq int64) int { return cmp.Compare(seqOf(d), seq) })
	switch {
	case found || l.leased[seq]: // it has been read since the commit
	case seq >= l.from && !l.complete: // it will be read from the table
	case len(l.ready) < maxReady:
		l.ready, l.from = slices.Insert(l.ready, at, d), max(l.from, seq+1)
	default:
		l.ready, l.from, l.complete = l.ready[:at], seq, false
	}
}

// reread makes the lease read all first deliveries from the table again, since some
// were removed or added.
func (l *lease) reread() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ready, l.from, l.complete, l.payloads = nil, 0, false, nil
}

// release ends a lease without outcome.
func (l *lease) release(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.leased[seq] {
		return
	}
	delete(l.leased, seq)
	delete(l.payloads, seq)
	if seq < l.from {
		// The delivery belongs before all or nearly all ready deliveries.
		l.ready, l.from, l.complete = nil, min(l.from, l.first(seq)), false
	}
}

// first returns the lower of seq and the seq of the first ready delivery.
func (l *lease) first(seq int64) int64 {
	if len(l.ready) > 0 {
		return min(seq, seqOf(l.ready[0]))
	}
	return seq
}

// settled ends a lease whose outcome is durable.
func (l *lease) settled(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.leased, seq)
}

// purged drops a deleted delivery.
func (l *lease) purged(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.leased, seq)
	delete(l.payloads, seq)
	l.ready = slices.DeleteFunc(l.ready, func(d queue.Delivery) bool { return seqOf(d) == seq })
}

func (l *lease) isLeased(seq int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.leased[seq]
}

func (l *lease) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.leased)
}
