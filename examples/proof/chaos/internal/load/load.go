package load

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
)

// A Load is a running fleet.
type Load struct {
	fleet  Fleet
	book   *ledger.Book
	next   atomic.Int64
	stopAt chan struct{}
	once   sync.Once
	work   sync.WaitGroup
}

// fleets is the number of loads in this process, so that no two of them send the same event.
var fleets atomic.Int64

// Start starts the senders. They send until stop, the end of ctx or the limit, and record the
// outcomes in the book.
func (f Fleet) Start(ctx context.Context, b *ledger.Book) *Load {
	l := &Load{fleet: f, book: b, stopAt: make(chan struct{})}
	number := fleets.Add(1)
	began := time.Now()
	for range f.Senders {
		l.work.Go(func() {
			to := f.balancer()
			defer to.close()
			for {
				n := l.next.Add(1)
				if f.Limit > 0 && n > int64(f.Limit) || !l.wait(ctx, began, n) {
					return
				}
				l.send(ctx, to, fmt.Sprintf("%d-%d", number, n), !l.fleet.NotesOnly && n%3 == 0)
			}
		})
	}
	return l
}

// Stop stops the senders, each after its current answer.
func (l *Load) Stop() {
	l.once.Do(func() { close(l.stopAt) })
	l.work.Wait()
}

// Done waits until the senders of a fleet with a limit have ended.
func (l *Load) Done() { l.work.Wait() }

// wait waits until request n is due, and reports whether to send it.
func (l *Load) wait(ctx context.Context, began time.Time, n int64) bool {
	var pause time.Duration
	if l.fleet.Rate > 0 {
		pause = time.Until(began.Add(time.Duration(float64(n) / l.fleet.Rate * float64(time.Second))))
	}
	return l.sleep(ctx, pause)
}

// sleep waits and reports whether the load continues.
func (l *Load) sleep(ctx context.Context, d time.Duration) bool {
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

// send sends an event, with Fleet.Again until it is acknowledged.
func (l *Load) send(ctx context.Context, to *balancer, id string, soniox bool) {
	p := l.fleet.Post(id, soniox)
	for {
		i, began := to.choose(), time.Now()
		answer, outcome := l.fleet.Send(ctx, to.conns[i], p)
		if Acknowledged(answer) {
			l.fleet.Pauses.Accepted(to.conns[i].url())
			l.book.Acknowledge(answer.ID, l.fleet.Upstreams, answer.Duplicate, time.Since(began))
			return
		}
		to.failed(i)
		l.book.Record(outcome)
		if outcome == ledger.Refused && !l.sleep(ctx, 5*time.Millisecond) {
			return
		}
		if !l.fleet.Again || !l.sleep(ctx, 0) {
			return
		}
	}
}
