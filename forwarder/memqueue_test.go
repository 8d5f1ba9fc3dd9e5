package forwarder

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

// A memQueue is a queue in memory, as far as a dispatcher needs one. The methods
// that it lacks are those of a nil Queue.
type memQueue struct {
	queue.Queue

	mu      sync.Mutex
	wake    func(upstream string)
	items   []*memItem
	wants   []queue.Want // of each claim
	claimOK int          // claims that succeed before claimErr
	claims  error
	loads   map[string]error // by event id
	lagging bool             // outcomes take effect only at flush
	claimed func()           // called when a claim has been made; may be nil
	settled []queue.Outcome
}

type memItem struct {
	delivery queue.Delivery
	event    *event.Event
	state    queue.State
	next     time.Time
	claimed  bool
	outcomes []queue.Outcome
	releases int
}

func newMemQueue() *memQueue {
	return &memQueue{claimOK: -1, loads: make(map[string]error), wake: func(string) {}}
}

// add stores one event for one upstream; retried is one that was attempted before.
func (q *memQueue) add(upstream string, retried bool) *memItem {
	return q.addEvent(upstream, sampleEvent(""), retried)
}

// addEvent stores an event for one upstream, under an id of its own.
func (q *memQueue) addEvent(upstream string, e *event.Event, retried bool) *memItem {
	return q.addSized(upstream, e, retried, 1500)
}

// addSized is addEvent for an event whose sealed record has so many bytes.
func (q *memQueue) addSized(upstream string, e *event.Event, retried bool, size int64) *memItem {
	q.mu.Lock()
	id := fmt.Sprintf("%s-%032d", e.Provider, len(q.items)+1)
	e.ID = id
	item := &memItem{
		event: e,
		state: queue.Pending,
		delivery: queue.Delivery{
			Seq: uint64(len(q.items) + 1), EventID: id, Provider: e.Provider, Type: e.ShortType(), Subject: e.Subject,
			Upstream: upstream, Size: size, ReceivedAt: time.Now(),
		},
	}
	if retried {
		item.delivery.Attempts, item.delivery.Used = 1, 1
	}
	q.items = append(q.items, item)
	wake := q.wake
	q.mu.Unlock()
	wake(upstream)
	return item
}

// failClaims makes all claims after the first n fail; a nil error ends that.
func (q *memQueue) failClaims(n int, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.claimOK, q.claims = n, err
}

func (q *memQueue) failLoad(id string, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.loads[id] = err
}

func (q *memQueue) Claim(upstream string, now time.Time, want queue.Want) (queue.Claimed, error) {
	c, err := q.claim(upstream, now, want)
	if q.claimed != nil {
		q.claimed()
	}
	return c, err
}

func (q *memQueue) claim(upstream string, now time.Time, want queue.Want) (queue.Claimed, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wants = append(q.wants, want)
	if q.claims != nil {
		if q.claimOK <= 0 {
			return queue.Claimed{}, q.claims
		}
		q.claimOK--
	}
	var c queue.Claimed
	var retries []*memItem
	for _, item := range q.items {
		switch {
		case item.state != queue.Pending || item.claimed || item.delivery.Upstream != upstream:
		case item.delivery.Attempts == 0:
			if want.First > 0 {
				want.First--
				item.claimed = true
				c.Deliveries = append(c.Deliveries, item.delivery)
			}
		case item.next.After(now):
			if c.Next.IsZero() || item.next.Before(c.Next) {
				c.Next = item.next
			}
		default:
			retries = append(retries, item)
		}
	}
	slices.SortStableFunc(retries, func(a, b *memItem) int { return a.next.Compare(b.next) })
	for _, item := range retries[:min(want.Retry, len(retries))] {
		item.claimed = true
		c.Deliveries = append(c.Deliveries, item.delivery)
	}
	return c, nil
}

func (q *memQueue) Load(d queue.Delivery) (*event.Event, error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if err := q.loads[d.EventID]; err != nil {
		return nil, err
	}
	return q.items[d.Seq-1].event, nil
}

func (q *memQueue) Settle(o queue.Outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.lagging {
		q.settled = append(q.settled, o)
		return
	}
	q.apply(o)
}

// flush makes the outcomes of a lagging queue durable.
func (q *memQueue) flush() {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, o := range q.settled {
		q.apply(o)
	}
	q.settled = nil
}

func (q *memQueue) apply(o queue.Outcome) {
	item := q.items[o.Delivery.Seq-1]
	if !item.claimed {
		panic("settled what is not claimed")
	}
	item.claimed = false
	item.outcomes = append(item.outcomes, o)
	item.state, item.next = o.State, o.Next
	item.delivery.Attempts++
	item.delivery.LastEnded = o.At.Add(o.Duration)
	if o.Used {
		item.delivery.Used++
	}
}

func (q *memQueue) Release(d queue.Delivery) {
	q.mu.Lock()
	item := q.items[d.Seq-1]
	if !item.claimed {
		panic("released what is not claimed")
	}
	item.claimed = false
	item.releases++
	wake := q.wake
	q.mu.Unlock()
	wake(d.Upstream)
}

func (q *memQueue) Notify(wake func(upstream string)) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.wake = wake
}

// state returns an item's state and the outcomes of its attempts.
func (q *memQueue) state(item *memItem) (queue.State, []queue.Outcome) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return item.state, slices.Clone(item.outcomes)
}

// count returns how many deliveries to an upstream are in a state.
func (q *memQueue) count(upstream string, s queue.State) int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, item := range q.items {
		if item.delivery.Upstream == upstream && item.state == s {
			n++
		}
	}
	return n
}

// inFlight returns how many deliveries are claimed.
func (q *memQueue) inFlight() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, item := range q.items {
		if item.claimed {
			n++
		}
	}
	return n
}

func (q *memQueue) claimCount() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.wants)
}

// size returns the bytes of an event's sealed record.
func (q *memQueue) size(id string) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	for _, item := range q.items {
		if item.delivery.EventID == id {
			return item.delivery.Size
		}
	}
	panic("no such event")
}

// releaseCount returns how many deliveries were released.
func (q *memQueue) releaseCount() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	n := 0
	for _, item := range q.items {
		n += item.releases
	}
	return n
}
