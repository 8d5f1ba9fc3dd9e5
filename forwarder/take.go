package forwarder

import (
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// retrySlot is which of an upstream's slots, counted, prefers a retry; all the
// others prefer a first attempt. So retries cannot starve first attempts, nor
// the other way round.
const retrySlot = 10

// split says what the next n slots prefer when so many have been taken before.
func split(taken, n int) queue.Want {
	retries := (taken+n)/retrySlot - taken/retrySlot
	return queue.Want{First: n - retries, Retry: retries}
}

// take claims up to n deliveries for an upstream's next slots. A slot whose kind
// is not to be had goes to the other kind. Deliveries may come beside an error.
func take(q queue.Queue, upstream string, now time.Time, n, taken int) ([]queue.Delivery, time.Time, error) {
	want := split(taken, n)
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

// take claims up to n deliveries. The event of the newest probe is claimed for the
// next one only where no other is due: it may be what the upstream fails at.
func (r *runner) take(now time.Time, n int) ([]queue.Delivery, time.Time, error) {
	q := r.dispatcher.queue
	deliveries, next, err := take(q, r.name, now, n, r.slots)
	if err != nil || n > 1 || len(deliveries) == 0 || deliveries[0].EventID != r.probed {
		return deliveries, next, err
	}
	others, next, err := take(q, r.name, now, 1, r.slots)
	if len(others) == 0 {
		return deliveries, next, err
	}
	q.Release(deliveries[0])
	return others, next, err
}
