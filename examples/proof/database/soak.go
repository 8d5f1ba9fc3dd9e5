package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/verifier/event"
)

const (
	upstream    = "ehr"
	storers     = 64
	storeLimit  = 8 * time.Second // as long as a provider waits
	claimAtOnce = 128
	bodySize    = 1500
)

// load counts what a run does.
type load struct {
	stored, refused, delivered, dead atomic.Int64
	longest                          atomic.Int64 // time of a store since the last table, in nanoseconds
}

// newEvent returns an event with a body of about 1.5 kB.
func newEvent(prefix string, n int) *event.Event {
	e := queuetest.Event(fmt.Sprintf("soapnoteapi-%s-%024d", prefix, n), time.Now())
	e.Body = append(e.Body, make([]byte, bodySize-len(e.Body))...)
	return e
}

// store stores an event.
func (l *load) store(ctx context.Context, q queue.Queue, e *event.Event) {
	ctx, cancel := context.WithTimeout(ctx, storeLimit)
	defer cancel()
	began := time.Now()
	if _, err := q.Store(ctx, queue.Item{Event: e, Upstreams: []string{upstream}}); err != nil {
		if l.refused.Add(1) <= 10 {
			fmt.Println("an event was refused:", err)
		}
		return
	}
	l.stored.Add(1)
	took := int64(time.Since(began))
	for longest := l.longest.Load(); took > longest && !l.longest.CompareAndSwap(longest, took); {
		longest = l.longest.Load()
	}
}

// accept stores events at a rate until the time is over.
func (l *load) accept(ctx context.Context, q queue.Queue, rate int, end time.Time) {
	events := make(chan *event.Event, rate)
	var wg sync.WaitGroup
	for range storers {
		wg.Go(func() {
			for e := range events {
				l.store(context.WithoutCancel(ctx), q, e)
			}
		})
	}
	began, n := time.Now(), 0
	for now := began; now.Before(end) && ctx.Err() == nil; now = time.Now() {
		for due := int(now.Sub(began).Seconds() * float64(rate)); n < due; n++ {
			events <- newEvent("soak", n)
		}
		time.Sleep(5 * time.Millisecond)
	}
	close(events)
	wg.Wait()
}

// deliver makes the deliveries that are due, until ctx ends. One in a hundred fails at first, one
// in two thousand is dead.
func (l *load) deliver(ctx context.Context, q queue.Queue) {
	for n := 0; ctx.Err() == nil; {
		c, err := q.Claim(upstream, time.Now(), queue.Want{First: claimAtOnce, Retry: claimAtOnce / 8})
		if err != nil || len(c.Deliveries) == 0 {
			time.Sleep(2 * time.Millisecond)
			continue
		}
		for _, d := range c.Deliveries {
			n++
			o := queue.Outcome{Delivery: d, At: time.Now(), Duration: time.Millisecond, State: queue.Delivered, Result: queue.Success, Status: 200, Used: true}
			if _, err := q.Load(d); err != nil {
				fmt.Println("loading an event:", err)
				q.Release(d)
				continue
			}
			switch {
			case d.Attempts == 0 && n%100 == 0:
				o.State, o.Result, o.Status, o.Next = queue.Pending, queue.Failure, 500, time.Now().Add(5*time.Second)
			case n%2000 == 1:
				o.State, o.Result, o.Status = queue.Dead, queue.Gone, 410
				l.dead.Add(1)
			default:
				l.delivered.Add(1)
			}
			q.Settle(o)
		}
	}
}

// soak stores and delivers events at a rate, and prints a table from time to time.
func soak(ctx context.Context, w *watcher, o options) error {
	l := &load{}
	end := time.Now().Add(o.duration)
	delivering, stop := context.WithCancel(ctx)
	var delivery, acceptance sync.WaitGroup
	delivery.Go(func() { l.deliver(delivering, w.queue) })
	acceptance.Go(func() { l.accept(ctx, w.queue, o.rate, end) })
	for next := time.Now().Add(min(o.every, time.Minute)); next.Before(end) && ctx.Err() == nil; next = next.Add(o.every) {
		select {
		case <-ctx.Done():
		case <-time.After(time.Until(next)):
			if err := w.print(ctx, l); err != nil {
				fmt.Println("reading the sizes:", err)
			}
		}
	}
	acceptance.Wait()
	drained := w.drained(ctx, time.Minute)
	stop()
	delivery.Wait()
	if err := w.print(context.WithoutCancel(ctx), l); err != nil {
		return err
	}
	if n := l.refused.Load(); n > 0 || !drained {
		return fmt.Errorf("%d events were refused, all others delivered: %t", n, drained)
	}
	if l.delivered.Load()+l.dead.Load() != l.stored.Load() {
		return errors.New("not as many events were delivered as stored")
	}
	return nil
}
