package forwarder

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// retrySlot: every tenth of an upstream's slots prefers a retry, and all others
// prefer a first attempt. So neither kind starves the other.
const retrySlot = 10

// split returns how many deliveries of each kind the next n slots prefer, after used
// slots.
func split(used, n int) queue.Want {
	retries := (used+n)/retrySlot - used/retrySlot
	return queue.Want{First: n - retries, Retry: retries}
}

// claimNext claims up to n deliveries for an upstream's next slots. If there are too
// few of the preferred kind, the slots go to the other kind. It may return deliveries
// together with an error.
func claimNext(q queue.Queue, upstream string, now time.Time, n, used int) ([]queue.Delivery, time.Time, error) {
	want := split(used, n)
	claimed, err := q.Claim(upstream, now, want)
	got := claimed.Deliveries
	if err != nil || len(got) >= n {
		return got, claimed.Next, err
	}

	firsts := 0
	for _, d := range got {
		if d.Attempts == 0 {
			firsts++
		}
	}
	rest := queue.Want{First: n - len(got)}
	if firsts < want.First {
		if want.Retry > 0 && len(got)-firsts < want.Retry {
			return got, claimed.Next, nil // neither kind has more
		}
		rest = queue.Want{Retry: n - len(got)}
	}
	more, err := q.Claim(upstream, now, rest)
	if err != nil {
		return got, claimed.Next, err
	}
	return append(got, more.Deliveries...), more.Next, nil
}

// next claims up to n deliveries. The event of the newest probe, of any node, is used for
// the next one only if no other is due: it may be the event that makes the upstream fail.
func (r *runner) next(now time.Time, n int) ([]queue.Delivery, time.Time, error) {
	q := r.dispatcher.queue
	deliveries, next, err := claimNext(q, r.name, now, n, r.slots)
	if err != nil || n > 1 || len(deliveries) == 0 || !r.wasProbed(deliveries[0]) {
		return deliveries, next, err
	}
	others, next, err := claimNext(q, r.name, now, 1, r.slots)
	if len(others) == 0 {
		return deliveries, next, err
	}
	q.Release(deliveries[0])
	return others, next, err
}

// wasProbed reports whether the newest probe was made with the event.
func (r *runner) wasProbed(d queue.Delivery) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return d.EventID == r.probed || d.EventID == r.probedByAny
}
