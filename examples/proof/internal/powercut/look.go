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
	// newcomers is how many of the events that are not there are stored anew.
	newcomers = 16

	// everything is more than is ever claimed at once.
	everything = 1 << 20

	// patience is how long the queue may take to store, to lease and to settle.
	patience = 10 * time.Second

	// farOff is how long after now every retry is due.
	farOff = 1000 * time.Hour
)

// A looking is a look at a queue that was opened after a power cut.
type looking struct {
	*known
	*findings

	queue   queue.Queue
	records map[string]queue.Record
}

// all looks at everything. It ends with a queue from which all has been
// delivered.
func (l *looking) all(ctx context.Context) error {
	if err := l.list(ctx); err != nil {
		return err
	}
	for id := range l.acknowledged {
		if _, ok := l.records[id]; !ok && !l.everywhere(id) {
			l.miss("event %s was acknowledged and is gone", id)
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
		l.say("%d deliveries are pending, and %d are counted", pending, counted)
	}
	if stats.Unreadable != 0 {
		l.say("%d events are counted as unreadable", stats.Unreadable)
	}
	claimed, err := l.claimed(ctx, pending)
	if err != nil {
		return err
	}
	if claimed != pending {
		l.say("%d deliveries are pending, and %d can be claimed", pending, claimed)
	}
	stored, err := l.store(ctx)
	if err != nil {
		return err
	}
	if claimed, err = l.claimed(ctx, stored); err != nil {
		return err
	}
	if claimed != stored {
		l.say("%d deliveries of new events can be claimed, and there should be %d", claimed, stored)
	}
	return l.settled(ctx)
}

func (l *looking) list(ctx context.Context) error {
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

// record looks at what the store has of an event, and returns how many of its
// deliveries are pending.
func (l *looking) record(id string, r queue.Record) (pending int) {
	states := make(map[string]queue.State)
	for _, d := range r.Deliveries {
		states[d.Upstream] = d.State
	}
	for _, u := range l.Upstreams[id] {
		switch state := states[u]; state {
		case queue.Pending:
			pending++
			if !r.HasPayload {
				l.miss("event %s waits for %s without its payload", id, u)
			}
		case queue.Delivered:
			if !l.taken[Delivery{Upstream: u, ID: id}] {
				l.miss("event %s is said to be delivered to %s and is not", id, u)
			}
		default:
			l.miss("event %s is %q at %s", id, state, u)
		}
	}
	if len(states) != len(l.Upstreams[id]) {
		l.say("event %s has %d deliveries, and %d upstreams", id, len(states), len(l.Upstreams[id]))
	}
	return pending
}

// claimed claims all that can be claimed until it has so many, for which a queue may
// take a moment, and once more. It returns how many deliveries that were.
func (l *looking) claimed(ctx context.Context, number int) (n int, err error) {
	for until := time.Now().Add(patience); ; time.Sleep(time.Millisecond) {
		last := n >= number || time.Now().After(until) || ctx.Err() != nil
		more, err := l.claim()
		n += more
		if last || err != nil {
			return n, err
		}
	}
}

// claim claims all that can be claimed, opens it and settles it as delivered. It
// returns how many deliveries that were.
func (l *looking) claim() (n int, err error) {
	for upstream := range l.Hosts {
		c, err := l.queue.Claim(upstream, time.Now().Add(farOff), queue.Want{First: everything, Retry: everything})
		if err != nil {
			return n, err
		}
		for _, d := range c.Deliveries {
			if e, err := l.queue.Load(d); err != nil {
				l.miss("%v", err)
			} else if e.ID != d.EventID {
				l.miss("event %s opens as %s", d.EventID, e.ID)
			}
			l.queue.Settle(queue.Outcome{Delivery: d, At: time.Now(), Result: queue.Success, State: queue.Delivered})
		}
		n += len(c.Deliveries)
	}
	return n, nil
}

// store stores events again that are there, which must change nothing, and some
// that are not. It returns how many deliveries the latter have.
func (l *looking) store(ctx context.Context) (deliveries int, err error) {
	var mu sync.Mutex
	var work sync.WaitGroup
	added := 0
	for id, upstreams := range l.Upstreams {
		_, there := l.records[id]
		again := there || l.acknowledged[id]
		switch {
		case !there && again && !l.everywhere(id):
			continue // it is missed already
		case !again:
			if added++; added > newcomers {
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
				l.miss("event %s was acknowledged or is there, and can be stored anew", id)
			case !again && receipt.Duplicate:
				l.say("event %s is not there, and cannot be stored", id)
			}
		})
	}
	work.Wait()
	return deliveries, err
}

func sample(id string) *event.Event {
	return &event.Event{ID: id, Source: "https://soapnoteapi.com", Type: "com.soapnoteapi.note.generated", Provider: "soapnoteapi", ReceivedAt: time.Now(), Body: []byte(`{}`)}
}

// settled waits until nothing is pending and no payload is left.
func (l *looking) settled(ctx context.Context) error {
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
			return fmt.Errorf("everything was delivered, and %d deliveries and %d bytes are left", pending, stats.Bytes)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}
