package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// A fleet is senders of both providers, each with a connection of its own that
// it keeps alive. Every third request is Soniox's.
type fleet struct {
	url     string // of the gateway
	secrets secrets

	notes     string // the path of SOAPNoteAPI's handler
	notesOnly bool   // nothing of Soniox's
	senders   int
	rate      float64       // requests a second, of all together; 0 is flat out
	limit     int           // requests in all; 0 is until it is stopped
	padding   int           // bytes by which a note is made longer
	again     bool          // whether what was not answered with 200 is sent again until it is
	patience  time.Duration // for an answer
	upstreams []string      // whom the events are for; nil is every backend of the ledger
}

// fleet returns a fleet that sends to the rig's gateway.
func (r *rig) fleet() fleet {
	return fleet{url: r.url(), secrets: r.secrets, notes: "/soapnote", senders: 16, patience: 15 * time.Second}
}

// A load is a fleet that sends.
type load struct {
	fleet  fleet
	book   *book
	next   atomic.Int64
	stopAt chan struct{}
	once   sync.Once
	work   sync.WaitGroup
}

// fleets numbers the loads of this process, so that no two send the same event.
var fleets atomic.Int64

// start has the senders send until the load is stopped, ctx ends or the limit is
// reached. What comes of it is entered into the book.
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

// stop ends the senders, each after the answer it waits for.
func (l *load) stop() {
	l.once.Do(func() { close(l.stopAt) })
	l.work.Wait()
}

// done waits for the senders of a fleet with a limit.
func (l *load) done() { l.work.Wait() }

// wait waits for a request's turn, and reports whether it is to be sent.
func (l *load) wait(ctx context.Context, began time.Time, n int64) bool {
	var pause time.Duration
	if l.fleet.rate > 0 {
		pause = time.Until(began.Add(time.Duration(float64(n) / l.fleet.rate * float64(time.Second))))
	}
	return l.sleep(ctx, pause)
}

// sleep reports whether the load goes on after a time.
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

// send sends an event, and sends it again where the fleet does that.
func (l *load) send(ctx context.Context, c *connection, id string, soniox bool) {
	p := l.fleet.post(id, soniox)
	for {
		began := time.Now()
		answer, outcome := l.fleet.send(ctx, c, p)
		if acknowledged(answer) {
			l.book.acknowledge(answer.ID, l.fleet.upstreams, answer.Duplicate, time.Since(began))
			return
		}
		l.book.note(outcome)
		if outcome == refused && !l.sleep(ctx, 5*time.Millisecond) {
			return
		}
		if !l.fleet.again || !l.sleep(ctx, 0) {
			return
		}
	}
}
