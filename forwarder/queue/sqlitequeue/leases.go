package sqlitequeue

import (
	"maps"
	"slices"
	"sync"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// readAhead is how many first deliveries are read from the table at once.
	readAhead = 256

	// maxReady is how many may wait in memory for an upstream.
	maxReady = 512

	// The payloads that are read with them: of all of them, and of one, in bytes at most.
	maxReadAhead = 512 << 10
	maxAhead     = 64 << 10
)

// leases are those of all upstreams.
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

// A lease holds which deliveries of an upstream are leased, and the first deliveries
// that come next.
//
// Claim holds the mutex from before it reads until it has recorded what it leased, and a
// lease ends under the mutex after the outcome is durable. So a caller that sees
// that a lease has ended also sees its outcome, and a settled delivery is never leased again from
// an older state of the table.
type lease struct {
	upstream string

	mu     sync.Mutex
	leased map[int64]bool

	// ready are the first deliveries below from that are not leased, in their order.
	// From there on they are to be read from the table, or, where complete is set,
	// there are none.
	ready    []queue.Delivery
	from     int64
	complete bool

	// payloads are the sealed payloads of deliveries that were read from the table and
	// are not loaded yet.
	payloads map[int64][]byte
}

// payload returns the sealed payload of a delivery, once, or nil where it must be read from
// the table.
func (l *lease) payload(seq int64) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	sealed := l.payloads[seq]
	delete(l.payloads, seq)
	return sealed
}

// stored adds a first delivery that has just been stored.
func (l *lease) stored(d queue.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq := seqOf(d)
	switch {
	case !l.complete || seq < l.from: // it is read from the table, or has been
	case len(l.ready) < maxReady:
		l.ready, l.from = append(l.ready, d), seq+1
	default:
		l.complete = false
	}
}

// reread has all first deliveries read from the table again, since some that were read
// are no longer there, or others are.
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
		// Its place among those that are ready is before all of them, or nearly so.
		l.ready, l.from, l.complete = nil, min(l.from, l.first(seq)), false
	}
}

// first returns the lower of seq and the first of those that are ready.
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

// purged drops a delivery that was deleted.
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
