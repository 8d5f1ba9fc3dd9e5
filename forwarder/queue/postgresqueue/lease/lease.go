package lease

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// maxReady is the maximum number of first deliveries that a node leases for an
	// upstream in advance.
	maxReady = 256

	// IdleAfter is how long a node leases deliveries in advance for an upstream that it
	// does not claim for.
	IdleAfter = 5 * time.Second

	// none is the bound of a lease if no first delivery is free.
	none = math.MaxInt64
)

// Leases holds the leases of this node for all upstreams.
type Leases struct {
	mu     sync.Mutex
	byName map[string]*Lease
}

// New returns no leases.
func New() *Leases { return &Leases{byName: make(map[string]*Lease)} }

// Of returns the upstream's leases.
func (ls *Leases) Of(upstream string) *Lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	l := ls.byName[upstream]
	if l == nil {
		l = &Lease{Upstream: upstream, held: make(map[int64]held), released: make(map[int64]bool)}
		ls.byName[upstream] = l
	}
	return l
}

// All returns the leases of all upstreams.
func (ls *Leases) All() []*Lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Collect(maps.Values(ls.byName))
}

// A Lease holds what this node leases for an upstream. In the database, the rows of all of
// these deliveries have the node's id.
type Lease struct {
	Upstream string
	Claiming sync.Mutex // held by Claim

	mu       sync.Mutex
	held     map[int64]held   // the deliveries that were claimed
	ready    []queue.Delivery // first deliveries that wait for a Claim, in order
	released map[int64]bool   // deliveries that are to be freed
	used     time.Time        // when Claim was called last

	// bound is the lowest seq that a free first delivery can have, as far as is known; none
	// if there is none.
	bound int64

	// low is a seq below which no first delivery was free when it was set, at the time.
	low int64
	at  time.Time

	// retries is whether next is when the first free retry is due, 0 if there is none.
	retries bool
	next    int64
}

// A held is the claim of a delivery.
type held struct {
	node     int64 // the id of this node at that time
	attempts int   // before: a later claim of the delivery has more
}

// Take removes and returns the first n ready deliveries that no free one precedes.
func (l *Lease) Take(n int, node int64) []queue.Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := 0
	for i < min(n, len(l.ready)) && seqOf(l.ready[i]) < l.bound {
		l.hold(l.ready[i], node)
		i++
	}
	taken := slices.Clone(l.ready[:i])
	l.ready = slices.Delete(l.ready, 0, i)
	return taken
}

// Used records that Claim was called.
func (l *Lease) Used() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.used = time.Now()
}

// Bound returns the lowest seq that a free first delivery can have, if one can be free. What is
// freed from now on has a bound again: the caller looks for the deliveries.
func (l *Lease) Bound() (seq int64, free bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seq, l.bound = l.bound, none
	return seq, seq != none
}

// Retries records the claims of retries. next is when the next one is due, if that is known.
func (l *Lease) Retries(claimed []queue.Delivery, node, next int64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range claimed {
		l.hold(d, node)
	}
	if !known {
		l.retries = false
	} else if l.retries {
		l.next = earliest(l.next, next)
	}
}

// hold records a claim. l.mu is held.
func (l *Lease) hold(d queue.Delivery, node int64) { l.held[seqOf(d)] = held{node, d.Attempts} }

// Accepts reports whether a new event's delivery is leased in advance, since the node can
// deliver it at once.
func (l *Lease) Accepts(waiting int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bound == none && len(l.ready)+waiting < maxReady && time.Since(l.used) < IdleAfter
}

// Add adds deliveries that this node has leased, or reports that they are already held.
func (l *Lease) Add(ds ...queue.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range ds {
		delete(l.released, seqOf(d))
		at, found := slices.BinarySearchFunc(l.ready, seqOf(d), func(d queue.Delivery, seq int64) int { return cmp.Compare(seqOf(d), seq) })
		if !found {
			l.ready = slices.Insert(l.ready, at, d)
		}
	}
}

// Free records that a first delivery with the seq, or a later one, may be free.
func (l *Lease) Free(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bound = min(l.bound, seq)
}

// Retry records that a retry is free that is due at the time, or that the retries have
// changed if it is 0.
func (l *Lease) Retry(due int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if due == 0 || !l.retries {
		l.retries = false
		return
	}
	l.next = earliest(l.next, due)
}

// KnownRetry returns when the first free retry is due, if that is known and not before now.
// Otherwise the caller finds it out, and what changes meanwhile is recorded.
func (l *Lease) KnownRetry(now int64) (due int64, known bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.retries && (l.next == 0 || l.next > now) {
		return l.next, true
	}
	l.retries, l.next = true, 0
	return 0, false
}

// lowEvery is how long low is relied on: another node may free an older delivery, and the
// notification of that may be lost.
const lowEvery = 15 * time.Second

// Lowest returns the seq from which polling looks for a free first delivery.
func (l *Lease) Lowest() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) > lowEvery {
		return 0
	}
	return l.low
}

// Exhausted records that no first delivery below a seq was free.
func (l *Lease) Exhausted(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) > lowEvery {
		l.low, l.at = seq, time.Now()
	}
}

// Found records the free deliveries that were found in the database: the first delivery
// with the lowest seq, and when the first retry is due; 0 if there is none. It reports
// whether Claim may return more than it did.
func (l *Lease) Found(seq, due int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	more := false
	if seq != 0 && seq < l.bound {
		l.bound, more = seq, true
	}
	if l.retries && due != l.next {
		l.retries, more = false, true
	}
	return more
}

// Forget makes the next Claim read the table. If the leases have ended, it drops what was
// leased in advance.
func (l *Lease) Forget(ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bound, l.retries, l.low = 0, false, 0
	if ended {
		l.ready = nil
		clear(l.released)
	}
}

// Release ends a claim. The delivery is freed by the next Claim, or soon.
func (l *Lease) Release(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, held := l.held[seq]; held {
		delete(l.held, seq)
		l.released[seq] = true
		l.bound = min(l.bound, seq)
	}
}

// Doubt makes a first delivery free that may be leased, by a commit whose answer was lost.
func (l *Lease) Doubt(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released[seq] = true
	l.bound = min(l.bound, seq)
}

// Settled ends a claim whose outcome is durable or does not count. The delivery may have been
// claimed again since.
func (l *Lease) Settled(d queue.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[seqOf(d)].attempts == d.Attempts {
		delete(l.held, seqOf(d))
	}
}

// Deleted drops a delivery that was deleted.
func (l *Lease) Deleted(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, seq)
	delete(l.released, seq)
	l.ready = slices.DeleteFunc(l.ready, func(d queue.Delivery) bool { return seqOf(d) == seq })
}

// Idle moves the ready deliveries to the released ones if nobody has claimed any for long.
func (l *Lease) Idle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ready) == 0 || time.Since(l.used) < IdleAfter {
		return
	}
	for _, d := range l.ready {
		l.released[seqOf(d)] = true
	}
	l.ready = nil
}

// ReleasedAny reports whether there are released deliveries.
func (l *Lease) ReleasedAny() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.released) > 0
}

// Freeing returns the released deliveries, which the caller frees.
func (l *Lease) Freeing() (seqs []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seqs = slices.Sorted(maps.Keys(l.released))
	clear(l.released)
	return seqs
}

// Freed records that deliveries were freed, or that they could not be.
func (l *Lease) Freed(seqs []int64, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, seq := range seqs {
		if err != nil {
			l.released[seq] = true
		}
		l.bound = min(l.bound, seq)
	}
	l.retries = l.retries && len(seqs) == 0
}

// Holder returns the id that this node had when it claimed a delivery.
func (l *Lease) Holder(seq int64) (node int64, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, held := l.held[seq]
	return h.node, held
}

// Knows reports whether this node knows that it has leased a delivery.
func (l *Lease) Knows(seq int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, held := l.held[seq]
	return held || l.released[seq] || slices.ContainsFunc(l.ready, func(d queue.Delivery) bool { return seqOf(d) == seq })
}

// Count returns the number of claims.
func (l *Lease) Count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.held)
}

// earliest returns the earlier of two times; 0 means none.
func earliest(a, b int64) int64 {
	if a == 0 || b == 0 {
		return max(a, b)
	}
	return min(a, b)
}

// seqOf returns the seq of a delivery's event.
func seqOf(d queue.Delivery) int64 { return int64(d.Seq) }
