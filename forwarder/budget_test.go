package forwarder

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

const mib = 1 << 20

func TestBudgetIsShared(t *testing.T) {
	t.Parallel()
	b := &budget{size: 120}
	woken := 0
	shareOf := func() *share { return &share{budget: b, wake: func() { woken++ }} }
	first, second, third := shareOf(), shareOf(), shareOf()
	fill := func(s *share, want int64) {
		t.Helper()
		for s.held < 1000 && s.acquire(10) {
		}
		if s.held != want {
			t.Errorf("holds %d, want %d", s.held, want)
		}
	}
	fill(first, 60)  // a half
	fill(second, 30) // of what the first leaves, a half
	first.release(20)
	fill(first, 40)
	fill(second, 40) // a third each
	if woken == 0 {
		t.Error("a release woke nobody")
	}

	if !third.acquire(1000) {
		t.Error("a share that holds nothing found no room")
	}
	if third.acquire(0) || first.acquire(1) {
		t.Error("there is room beyond the budget")
	}
	third.release(1000)
	woken = 0
	fill(first, 40)
	third.acquire(10)
	third.release(10)
	third.acquire(10)
	third.release(10)
	if woken != 1 {
		t.Errorf("woken %d times, want once for each time that no room was found", woken)
	}
}

// A load is a Sender that holds what it is sent for as long as each send takes, and
// knows how much that was at most.
type load struct {
	queue *memQueue
	take  time.Duration // 0 is until the attempt ends

	mu        sync.Mutex
	held, max int64
	n         int // under way
}

func (l *load) Send(ctx context.Context, m *Message) (Answer, error) {
	size := footprint(l.queue.size(m.Header.Get("Webhook-Id")))
	l.note(size, 1)
	defer l.note(-size, -1)
	if l.take == 0 {
		<-ctx.Done()
		return Answer{}, ctx.Err()
	}
	time.Sleep(l.take)
	return Answer{Status: 200}, nil
}

func (l *load) note(size int64, n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.n += n
	l.held += size
	l.max = max(l.max, l.held)
}

func (l *load) most() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.max
}

func (l *load) underWay() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.n
}

func TestRunnerHoldsItsShareOfTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const events = 120
		r := newRig(t)
		l := &load{queue: r.memQueue, take: time.Second}
		for range events {
			r.addSized("ehr", sampleEvent(""), false, 10*mib)
		}
		r.apply(Upstream{Name: "ehr", Sender: l, Concurrency: 1000})
		elapse(time.Hour)
		if n := r.count("ehr", queue.Delivered); n != events {
			t.Errorf("%d of %d events delivered", n, events)
		}
		if l.most() > deliveryBudget/2 || l.most() < deliveryBudget/2-footprint(10*mib) {
			t.Errorf("%d MiB held at most, want half of the budget", l.most()/mib)
		}
		if n := r.claimCount(); n > 2*events {
			t.Errorf("%d claims for %d events", n, events)
		}
		if n := r.releaseCount(); n > 2*events {
			t.Errorf("%d deliveries were claimed and given back, for %d events", n, events)
		}
	})
}

// Upstreams that hang with large events delay no other, and all together they hold
// no more than the budget.
func TestRunnersShareTheBudget(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		all := &load{queue: r.memQueue}
		hanging := []Upstream{
			{Name: "hanging", Sender: all, Timeout: time.Hour},
			{Name: "too", Sender: all, Timeout: time.Hour},
		}
		for range 120 {
			r.addSized("hanging", sampleEvent(""), false, 10*mib)
			r.addSized("too", sampleEvent(""), false, 10*mib)
			r.addSized("ehr", sampleEvent(""), false, 10*mib)
			r.addSized("small", sampleEvent(""), false, 1500)
		}
		r.apply(hanging...)
		synctest.Wait()
		ehr, small := &load{queue: r.memQueue, take: time.Second}, &load{queue: r.memQueue, take: time.Second}
		r.apply(append(hanging, Upstream{Name: "ehr", Sender: ehr}, Upstream{Name: "small", Sender: small})...)
		elapse(10 * time.Second)
		if n := r.count("small", queue.Delivered); n != 120 {
			t.Errorf("%d of 120 small events delivered beside upstreams that hang", n)
		}
		elapse(50 * time.Second)
		if n := r.count("ehr", queue.Delivered); n < 60 {
			t.Errorf("%d large events delivered in a minute beside upstreams that hang", n)
		}
		if sum := all.most() + ehr.most() + small.most(); sum > deliveryBudget {
			t.Errorf("%d MiB held at most, want no more than the budget", sum/mib)
		}
	})
}

func TestRunnersHaveRoomForAnEventEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		l := &load{queue: r.memQueue}
		var upstreams []Upstream
		for _, name := range []string{"a", "b", "c", "d"} {
			r.addSized(name, sampleEvent(""), false, deliveryBudget)
			r.addSized(name, sampleEvent(""), false, deliveryBudget)
			upstreams = append(upstreams, Upstream{Name: name, Sender: l})
		}
		r.apply(upstreams...)
		synctest.Wait()
		if n := l.underWay(); n != 4 {
			t.Errorf("%d attempts under way at events that are larger than the budget, want one for each upstream", n)
		}
	})
}

// What waits for room is the next to go: smaller events that come all the time do
// not pass it by.
func TestRunnerPassesNoLargeEventBy(t *testing.T) {
	t.Parallel()
	for _, retried := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			l := &load{queue: r.memQueue, take: time.Second}
			r.apply(Upstream{Name: "ehr", Sender: l, Concurrency: 10})
			var large *memItem
			for i := range 100 {
				for range 5 {
					r.add("ehr", false)
				}
				if i == 10 {
					large = r.addSized("ehr", sampleEvent(""), retried, deliveryBudget)
				}
				elapse(300 * time.Millisecond)
			}
			if state, _ := r.state(large); state != queue.Delivered {
				t.Errorf("retried %v: a large event is %s after 27 s among small ones", retried, state)
			}
		})
	}
}

// A delivery that waits for room is nobody's any more once the upstream is paused
// or gone.
func TestRunnerGivesBackWhatWaitsForRoom(t *testing.T) {
	t.Parallel()
	t.Run("retired", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			for range 20 {
				r.addSized("ehr", sampleEvent(""), false, 10*mib)
			}
			l := &load{queue: r.memQueue}
			r.apply(Upstream{Name: "ehr", Sender: l})
			synctest.Wait()
			if n := l.underWay(); r.inFlight() != n+1 {
				t.Errorf("%d claimed for %d attempts, want one more, which waits", r.inFlight(), n)
			}
			r.apply()
			elapse(time.Minute)
			if n := r.inFlight(); n != 0 {
				t.Errorf("%d deliveries are claimed by an upstream that is gone", n)
			}
		})
	})
	t.Run("paused", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			r := newRig(t)
			for range 20 {
				r.addSized("ehr", sampleEvent(""), false, 10*mib)
			}
			busy := senderFunc(func(context.Context, *Message) (Answer, error) {
				time.Sleep(time.Second)
				return Answer{Status: 503, RetryAfter: "3600"}, nil
			})
			r.apply(Upstream{Name: "ehr", Sender: busy})
			elapse(time.Minute)
			if n := r.inFlight(); !r.paused(t, "ehr") || n != 0 {
				t.Errorf("%d deliveries are claimed for an upstream that is paused", n)
			}
		})
	})
}

// An upstream that has become another backend does not wait for what the old one
// holds.
func TestRunnerOfAnotherIdentityHasAShareOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		for range 40 {
			r.addSized("ehr", sampleEvent(""), false, 10*mib)
		}
		before := &load{queue: r.memQueue}
		r.apply(Upstream{Name: "ehr", Sender: before, Timeout: time.Hour, Identity: "before"})
		synctest.Wait()
		after := &load{queue: r.memQueue, take: time.Second}
		r.apply(Upstream{Name: "ehr", Sender: after, Identity: "after"})
		elapse(time.Minute)
		if n := r.count("ehr", queue.Delivered); n != 40-before.underWay() {
			t.Errorf("%d events delivered, of 40 of which %d are held", n, before.underWay())
		}
		if after.most() < 2*footprint(10*mib) || after.most()+before.most() > deliveryBudget {
			t.Errorf("%d and %d MiB held", before.most()/mib, after.most()/mib)
		}
	})
}
