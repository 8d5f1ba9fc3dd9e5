package model

import (
	"slices"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// Claim leases deliveries and returns their events, and Next.
func (m *Model) Claim(upstream string, now time.Time, want queue.Want) (claimed []*Event, next time.Time) {
	var first, retries []*Event
	for _, e := range m.Events {
		d := e.Delivery(upstream)
		switch {
		case d == nil || !e.claimable(d) || d.leased:
		case d.NextAttempt.IsZero():
			first = append(first, e)
		case !d.NextAttempt.After(now):
			retries = append(retries, e)
		case next.IsZero() || d.NextAttempt.Before(next):
			next = d.NextAttempt
		}
	}
	slices.SortStableFunc(retries, func(a, b *Event) int {
		return a.Delivery(upstream).NextAttempt.Compare(b.Delivery(upstream).NextAttempt)
	})
	first = first[:min(want.First, len(first))]
	retries = retries[:min(want.Retry, len(retries))]
	claimed = slices.Concat(first, retries)
	for _, e := range claimed {
		e.Delivery(upstream).leased = true
	}
	return claimed, next
}

// Settle records an outcome, unless the delivery was purged. e is the claimed event:
// another event may have the same id by now.
func (m *Model) Settle(e *Event, upstream string, o queue.Outcome) {
	d := e.Delivery(upstream)
	if d == nil || !d.leased {
		return
	}
	d.leased = false
	d.Attempts++
	if o.Used {
		d.Used++
	}
	d.History = append(d.History, queue.Attempt{Number: d.Attempts, At: o.At, Duration: o.Duration, Result: o.Result, Status: o.Status, Used: o.Used, Note: o.Note})
	d.History = slices.Clone(d.History[max(0, len(d.History)-queue.MaxHistory):])
	d.State, d.NextAttempt = o.State, time.Time{}
	if o.State == queue.Pending {
		d.NextAttempt = o.Next
	}
	if o.Event != nil {
		e.Event = o.Event
	}
	if o.Retain {
		e.drop(func(d *Delivery) bool { return queue.IsCleanup(d.Upstream) })
	}
	switch {
	case o.State == queue.Unconfirmed:
		e.State, e.Reason, e.deliveries = queue.Unconfirmed, o.Reason, nil
		m.end(e)
	case !d.stage():
		m.end(e)
	}
}

// Release ends a lease.
func (m *Model) Release(e *Event, upstream string) {
	if d := e.Delivery(upstream); d != nil {
		d.leased = false
	}
}

// Holds reports whether a delivery is still in the store.
func (m *Model) Holds(e *Event, upstream string) bool {
	return slices.Contains(m.Events, e) && e.Delivery(upstream) != nil
}

// Restart ends the leases, as the end of a process does.
func (m *Model) Restart() {
	for _, e := range m.Events {
		for _, d := range e.deliveries {
			d.leased = false
		}
	}
}
