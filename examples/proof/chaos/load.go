package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A fleet is a number of senders, each with its own keep-alive connection. Every third request is
// from Soniox, the others are from SOAPNoteAPI.
type fleet struct {
	url     string // of the gateway
	secrets secrets

	notes     string // path of SOAPNoteAPI's handler
	notesOnly bool   // send no requests from Soniox
	senders   int
	rate      float64       // requests per second of all senders together; 0 means no limit
	limit     int           // number of requests; 0 means until stop
	padding   int           // additional bytes in each note
	again     bool          // send a request again until it is answered with 200
	patience  time.Duration // maximum time for an answer
	upstreams []string      // the upstreams of the events; nil means all backends of the ledger
}

// fleet returns a fleet that sends to the rig's gateway.
func (r *rig) fleet() fleet {
	return fleet{url: r.url(), secrets: r.secrets, notes: "/soapnote", senders: 16, patience: 15 * time.Second}
}

// A load is a running fleet.
type load struct {
	fleet  fleet
	book   *book
	next   atomic.Int64
	stopAt chan struct{}
	once   sync.Once
	work   sync.WaitGroup
}

// fleets is the number of loads in this process, so that no two of them send the same event.
var fleets atomic.Int64

// start starts the senders. They send until stop, the end of ctx or the limit, and record the
// outcomes in the book.
func (f fleet) start(ctx context.Context, b *book) *load {
	l := &load{fleet: f, book: b, stopAt: make(chan struct{})}
	number := fleets.Add(1)
	began := time.Now()
	for range f.senders {
		l.work.Go(func() {
			c := f.connect()
			defer c.close()
			for {
				n := l.next.Add(1)
				if f.limit > 0 && n > int64(f.limit) || !l.wait(ctx, began, n) {
					return
				}
				l.send(ctx, c, fmt.Sprintf("%d-%d", number, n), !l.fleet.notesOnly && n%3 == 0)
			}
		})
	}
	return l
}

// stop stops the senders, each after its current answer.
func (l *load) stop() {
	l.once.Do(func() { close(l.stopAt) })
	l.work.Wait()
}

// done waits until the senders of a fleet with a limit have ended.
func (l *load) done() { l.work.Wait() }

// wait waits until request n is due, and reports whether to send it.
func (l *load) wait(ctx context.Context, began time.Time, n int64) bool {
	var pause time.Duration
	if l.fleet.rate > 0 {
		pause = time.Until(began.Add(time.Duration(float64(n) / l.fleet.rate * float64(time.Second))))
	}
	return l.sleep(ctx, pause)
}

// sleep waits and reports whether the load continues.
func (l *load) sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-l.stopAt:
		return false
	case <-ctx.Done():
		return false
	default:
	}
	if d <= 0 {
		return true
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-l.stopAt:
		return false
	case <-ctx.Done():
		return false
	}
}

// send sends an event, with fleet.again until it is acknowledged.
func (l *load) send(ctx context.Context, c *connection, id string, soniox bool) {
	p := l.fleet.post(id, soniox)
	for {
		began := time.Now()
		answer, outcome := l.fleet.send(ctx, c, p)
		if acknowledged(answer) {
			l.book.acknowledge(answer.ID, l.fleet.upstreams, answer.Duplicate, time.Since(began))
			return
		}
		l.book.record(outcome)
		if outcome == refused && !l.sleep(ctx, 5*time.Millisecond) {
			return
		}
		if !l.fleet.again || !l.sleep(ctx, 0) {
			return
		}
	}
}
