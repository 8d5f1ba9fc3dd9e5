package powercut

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	// newEvents is the maximum number of missing events that are stored again.
	newEvents = 16

	// everything is larger than the number of all deliveries.
	everything = 1 << 20

	// patience is the maximum time for storing, claiming and settling.
	patience = 10 * time.Second

	// farFuture is a duration after which every retry is due.
	farFuture = 1000 * time.Hour
)

// An inspection checks a queue that was opened after a power cut.
type inspection struct {
	*facts
	*findings

	queue   queue.Queue
	records map[string]queue.Record
}

// run compares the whole queue with the promise, and then delivers all its events.
func (l *inspection) run(ctx context.Context) error {
	if err := l.list(ctx); err != nil {
		return err
	}
	for id := range l.acknowledged {
		if _, ok := l.records[id]; !ok && !l.everywhere(id) {
			l.reportLost("event %s was acknowledged and is lost", id)
		}
	}
	pending := 0
	for id, r := range l.records {
		pending += l.record(id, r)
	}
	stats, err := l.queue.Stats()
	if err != nil {
		return err
	}
	var counted int64
	for _, u := range stats.Upstreams {
		counted += u.Pending
	}
	if counted != int64(pending) {
		l.report("%d deliveries are pending, but the status counts %d", pending, counted)
	}
	if stats.Unreadable != 0 {
		l.report("the status counts %d unreadable events", stats.Unreadable)
	}
	claimed, err := l.claimed(ctx, pending)
	if err != nil {
		return err
	}
	if claimed != pending {
		l.report("%d deliveries are pending, but %d can be claimed", pending, claimed)
	}
	stored, err := l.store(ctx)
	if err != nil {
		return err
	}
	if claimed, err = l.claimed(ctx, stored); err != nil {
		return err
	}
	if claimed != stored {
		l.report("%d deliveries of new events can be claimed, want %d", claimed, stored)
	}
	return l.settled(ctx)
}

func (l *inspection) list(ctx context.Context) error {
	l.records = make(map[string]queue.Record)
	for cursor := ""; ; {
		page, err := l.queue.Events(ctx, queue.Filter{Limit: 1000, Cursor: cursor})
		if err != nil {
			return err
		}
		for _, r := range page.Records {
			l.records[r.ID] = r
		}
		if cursor = page.Next; cursor == "" {
			return nil
		}
	}
}

// record checks the record of an event, and returns the number of its pending deliveries.
func (l *inspection) record(id string, r queue.Record) (pending int) {
	states := make(map[string]queue.State)
	for _, d := range r.Deliveries {
		states[d.Upstream] = d.State
	}
	for _, u := range l.Upstreams[id] {
		switch state := states[u]; state {
		case queue.Pending:
			pending++
			if !r.HasPayload {
				l.reportLost("event %s waits for %s without its payload", id, u)
			}
		case queue.Delivered:
			if !l.accepted[Delivery{Upstream: u, ID: id}] {
				l.reportLost("event %s is recorded as delivered to %s but was not delivered", id, u)
			}
		default:
			l.reportLost("event %s is %q at %s", id, state, u)
		}
	}
	if len(states) != len(l.Upstreams[id]) {
		l.report("event %s has %d deliveries, but %d upstreams", id, len(states), len(l.Upstreams[id]))
	}
	return pending
}

// claimed claims deliveries until it has number of them, which may take a moment, and then once more. It returns the
// number of claimed deliveries.
func (l *inspection) claimed(ctx context.Context, number int) (n int, err error) {
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		last := n >= number || time.Now().After(until) || ctx.Err() != nil
		more, err := l.claim()
		n += more
		if last || err != nil {
			return n, err
		}
	}
}

// claim claims all deliveries that can be claimed, loads their events and settles them as delivered. It returns their
// number.
func (l *inspection) claim() (n int, err error) {
	for upstream := range l.Hosts {
		c, err := l.queue.Claim(upstream, time.Now().Add(farFuture), queue.Want{First: everything, Retry: everything})
		if err != nil {
			return n, err
		}
		for _, d := range c.Deliveries {
			if e, err := l.queue.Load(d); err != nil {
				l.reportLost("%v", err)
			} else if e.ID != d.EventID {
				l.reportLost("event %s is loaded as %s", d.EventID, e.ID)
			}
			l.queue.Settle(queue.Outcome{Delivery: d, At: time.Now(), Result: queue.Success, State: queue.Delivered})
		}
		n += len(c.Deliveries)
	}
	return n, nil
}

// store stores the existing events again, which must be duplicates, and some missing events. It returns the number of
// deliveries of the latter.
func (l *inspection) store(ctx context.Context) (deliveries int, err error) {
	var mu sync.Mutex
	var work sync.WaitGroup
	added := 0
	for id, upstreams := range l.Upstreams {
		_, there := l.records[id]
		again := there || l.acknowledged[id]
		switch {
		case !there && again && !l.everywhere(id):
			continue // it is reported already
		case !again:
			if added++; added > newEvents {
				continue
			}
			deliveries += len(upstreams)
		}
		work.Go(func() {
			ctx, cancel := context.WithTimeout(ctx, patience)
			defer cancel()
			receipt, storeErr := l.queue.Store(ctx, queue.Item{Event: sample(id), Upstreams: upstreams})
			mu.Lock()
			defer mu.Unlock()
			switch {
			case storeErr != nil:
				err = errors.Join(err, storeErr)
			case again && !receipt.Duplicate:
				l.reportLost("event %s was acknowledged or exists, but is not a duplicate", id)
			case !again && receipt.Duplicate:
				l.report("event %s does not exist, but is a duplicate", id)
			}
		})
	}
	work.Wait()
	return deliveries, err
}

func sample(id string) *event.Event {
	return &event.Event{ID: id, Source: "https://soapnoteapi.com", Type: "com.soapnoteapi.note.generated", Provider: "soapnoteapi", ReceivedAt: time.Now(), Body: []byte(`{}`)}
}

// settled waits until no delivery is pending and no payload is left.
func (l *inspection) settled(ctx context.Context) error {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	until := time.Now().Add(patience)
	for {
		stats, err := l.queue.Stats()
		if err != nil {
			return err
		}
		var pending int64
		for _, u := range stats.Upstreams {
			pending += u.Pending
		}
		if pending == 0 && stats.Bytes == 0 {
			return nil
		}
		if time.Now().After(until) {
			return fmt.Errorf("everything was delivered, but %d deliveries and %d bytes are left", pending, stats.Bytes)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
