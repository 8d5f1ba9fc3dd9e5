package postgresqueue

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

	// idleAfter is how long a node leases deliveries in advance for an upstream that it
	// does not claim for.
	idleAfter = 5 * time.Second

	// none is the bound of a lease if no first delivery is free.
	none = math.MaxInt64
)

// leases holds the leases of this node for all upstreams.
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
		l = &lease{upstream: upstream, held: make(map[int64]held), released: make(map[int64]bool)}
		ls.byName[upstream] = l
	}
	return l
}

func (ls *leases) all() []*lease {
	ls.mu.Lock()
	defer ls.mu.Unlock()
	return slices.Collect(maps.Values(ls.byName))
}

// A lease holds what this node leases for an upstream. In the database, the rows of all of
// these deliveries have the node's id.
type lease struct {
	upstream string
	claiming sync.Mutex // held by Claim

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

// take removes and returns the first n ready deliveries that no free one precedes.
func (l *lease) take(n int, node int64) []queue.Delivery {
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

// hold records a claim. l.mu is held.
func (l *lease) hold(d queue.Delivery, node int64) { l.held[seqOf(d)] = held{node, d.Attempts} }

// accepts reports whether a new event's delivery is leased in advance, since the node can
// deliver it at once.
func (l *lease) accepts(waiting int) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bound == none && len(l.ready)+waiting < maxReady && time.Since(l.used) < idleAfter
}

// add adds deliveries that this node has leased, or reports that they are already held.
func (l *lease) add(ds ...queue.Delivery) {
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

// free records that a first delivery with the seq, or a later one, may be free.
func (l *lease) free(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bound = min(l.bound, seq)
}

// retry records that a retry is free that is due at the time, or that the retries have
// changed if it is 0.
func (l *lease) retry(due int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if due == 0 || !l.retries {
		l.retries = false
		return
	}
	l.next = earliest(l.next, due)
}

// knownRetry returns when the first free retry is due, if that is known and not before now.
// Otherwise the caller finds it out, and what changes meanwhile is recorded.
func (l *lease) knownRetry(now int64) (due int64, known bool) {
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

// lowest returns the seq from which polling looks for a free first delivery.
func (l *lease) lowest() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) > lowEvery {
		return 0
	}
	return l.low
}

// exhausted records that no first delivery below a seq was free.
func (l *lease) exhausted(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if time.Since(l.at) > lowEvery {
		l.low, l.at = seq, time.Now()
	}
}

// found records the free deliveries that were found in the database: the first delivery
// with the lowest seq, and when the first retry is due; 0 if there is none. It reports
// whether Claim may return more than it did.
func (l *lease) found(seq, due int64) bool {
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

// forget makes the next Claim read the table. If the leases have ended, it drops what was
// leased in advance.
func (l *lease) forget(ended bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.bound, l.retries, l.low = 0, false, 0
	if ended {
		l.ready = nil
		clear(l.released)
	}
}

// release ends a claim. The delivery is freed by the next Claim, or soon.
func (l *lease) release(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, held := l.held[seq]; held {
		delete(l.held, seq)
		l.released[seq] = true
		l.bound = min(l.bound, seq)
	}
}

// doubt makes a first delivery free that may be leased, by a commit whose answer was lost.
func (l *lease) doubt(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.released[seq] = true
	l.bound = min(l.bound, seq)
}

// settled ends a claim whose outcome is durable or does not count. The delivery may have been
// claimed again since.
func (l *lease) settled(d queue.Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.held[seqOf(d)].attempts == d.Attempts {
		delete(l.held, seqOf(d))
	}
}

// deleted drops a delivery that was deleted.
func (l *lease) deleted(seq int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.held, seq)
	delete(l.released, seq)
	l.ready = slices.DeleteFunc(l.ready, func(d queue.Delivery) bool { return seqOf(d) == seq })
}

// idle moves the ready deliveries to the released ones if nobody has claimed any for long.
func (l *lease) idle() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.ready) == 0 || time.Since(l.used) < idleAfter {
		return
	}
	for _, d := range l.ready {
		l.released[seqOf(d)] = true
	}
	l.ready = nil
}

func (l *lease) releasedAny() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.released) > 0
}

// freeing returns the released deliveries, which the caller frees.
func (l *lease) freeing() (seqs []int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	seqs = slices.Sorted(maps.Keys(l.released))
	clear(l.released)
	return seqs
}

// freed records that deliveries were freed, or that they could not be.
func (l *lease) freed(seqs []int64, err error) {
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

// holder returns the id that this node had when it claimed a delivery.
func (l *lease) holder(seq int64) (node int64, held bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	h, held := l.held[seq]
	return h.node, held
}

// knows reports whether this node knows that it has leased a delivery.
func (l *lease) knows(seq int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	_, held := l.held[seq]
	return held || l.released[seq] || slices.ContainsFunc(l.ready, func(d queue.Delivery) bool { return seqOf(d) == seq })
}

func (l *lease) count() int {
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
