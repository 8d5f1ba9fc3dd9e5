package forwarder

import (
	"fmt"
	"math"
	"runtime"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

// A runner is one upstream's loop: it decides when to claim deliveries and how many,
// and starts an attempt at each.
type runner struct {
	dispatcher *Dispatcher
	name       string
	key        queue.PauseKey // of the pause that all nodes share

	signal chan struct{} // wakes the loop
	stop   chan struct{} // closed when the runner is retired
	ended  chan struct{} // closed when the loop has ended

	mu          sync.Mutex // never held while anything blocks
	settings    *settings
	limiter     *rate.Limiter
	agenda      pace.Agenda
	pause       pace.Pause
	held        held
	inFlight    int
	retired     bool
	lastSuccess time.Time
	lastFailure Failure
	lastAnswer  time.Time // of any status
	lastProblem time.Time
	shareAt     time.Time // when to publish the pause again, after an error
	probedByAny string    // the id of the event of the newest probe of all nodes

	room *share // of the bytes that all attempts may hold

	// The loop's own.
	slots     int             // used so far
	kept      *queue.Delivery // claimed, and waits for room for its payload
	ask       int             // how many deliveries to claim at most, so that there is room for nearly all
	probed    string          // the id of the event of the newest attempt, where that is a probe; else ""
	announced bool            // the observer has been notified that the upstream is paused
	until     time.Time       // and until then; zero: until a probe succeeds
}

func newRunner(d *Dispatcher, s *settings) *runner {
	r := &runner{
		dispatcher: d,
		name:       s.Name,
		key:        s.key(),
		signal:     make(chan struct{}, 1),
		stop:       make(chan struct{}),
		ended:      make(chan struct{}),
		settings:   s,
		limiter:    s.newLimiter(),
		ask:        math.MaxInt,
	}
	r.room = &share{budget: &d.budget, wake: r.nudge}
	return r
}

// run is the loop. One timer covers all that is due next.
func (r *runner) run() {
	defer close(r.ended)
	defer r.announceEnd()
	defer r.releaseAll()
	defer r.releaseKept()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-r.stop:
			return
		case <-r.signal:
			runtime.Gosched() // more attempts may have ended: the more are asked for at once, the cheaper
		case <-timer.C:
		}
		timer.Reset(r.pass())
	}
}

// pass starts all attempts that may start now, and returns how long to wait.
func (r *runner) pass() time.Duration {
	for {
		now := r.dispatcher.options.Now()
		r.announce(now)
		if r.share(now) {
			continue
		}
		r.resume(now)
		n, at := r.plan(now)
		switch {
		case n == 0:
			if r.kept != nil && r.isPaused(now) {
				r.releaseKept()
			}
			return at.Sub(now)
		case r.kept == nil:
			r.claim(now, n)
		case !r.startKept(now):
			return pace.MaxCheck // or until there is room
		}
	}
}

// plan returns how many deliveries to claim now. If none, at is when to plan again,
// unless the loop is woken before.
func (r *runner) plan(now time.Time) (n int, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	idle := now.Add(pace.MaxCheck)
	if now.Before(r.pause.HeldUntil()) && r.pause.HeldUntil().Before(idle) {
		idle = r.pause.HeldUntil() // its end is to be announced
	}
	if r.held.count > 0 {
		idle = pace.Earlier(r.held.check, idle)
	}
	if now.Before(r.shareAt) {
		idle = pace.Earlier(r.shareAt, idle)
	}
	if r.retired {
		return 0, idle
	}
	if ready, at := r.agenda.Ready(now); !ready && r.kept == nil {
		return 0, pace.Earlier(at, idle)
	}
	n, at = r.pause.Room(now)
	if n == 0 {
		return 0, pace.Earlier(at, idle)
	}
	n = min(n, r.settings.Concurrency-r.inFlight)
	if n <= 0 {
		return 0, idle
	}
	tokens := r.limiter.TokensAt(now)
	if tokens < 1 {
		missing := (1 - tokens) / float64(r.limiter.Limit())
		return 0, pace.Earlier(now.Add(time.Duration(math.Ceil(missing*float64(time.Second)))+time.Microsecond), idle)
	}
	return int(min(float64(n), tokens)), time.Time{}
}

// claim claims n deliveries and starts an attempt at each.
func (r *runner) claim(now time.Time, n int) {
	r.mu.Lock()
	r.agenda.Asking(now)
	r.mu.Unlock()

	n = min(n, r.ask)
	deliveries, next, err := r.next(now, n)
	started := r.start(now, deliveries)
	if r.kept != nil {
		r.ask = started + 1
	} else if r.ask <= math.MaxInt/2 {
		r.ask *= 2
	}

	r.mu.Lock()
	if err != nil {
		r.agenda.Failed(now)
	} else {
		r.agenda.Asked(now, len(deliveries) == n, next)
	}
	r.mu.Unlock()
	if err != nil {
		r.problem(now, fmt.Errorf("asking the queue for deliveries to upstream %q: %w", r.name, err))
	}
}

// done records how an attempt ended, and frees its slot and its room.
func (r *runner) done(a *attempt, v verdict, cause error, o queue.Outcome, now time.Time) {
	r.mu.Lock()
	r.inFlight--
	r.pause.End(a.ticket, v.pace(), cause, now)
	if o.State == queue.Pending {
		r.agenda.Postpone(now, o.Next)
	}
	if ended := o.At.Add(o.Duration); o.Status != 0 && ended.After(r.lastAnswer) {
		r.lastAnswer = ended
	}
	if v.result == queue.Success {
		r.lastSuccess = now
	} else {
		r.lastFailure = Failure{At: now, Result: o.Result, Status: o.Status}
	}
	r.mu.Unlock()
	r.room.release(footprint(a.delivery.Size))
	r.nudge()
}

// answeredSince reports whether the upstream is known to have answered an event since
// t. With a zero t it is not.
func (r *runner) answeredSince(t time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return !t.IsZero() && r.lastAnswer.After(t)
}

// abandon frees the slot and the room of an attempt that was not made.
func (r *runner) abandon(a *attempt) {
	r.mu.Lock()
	r.inFlight--
	r.pause.Abandon(a.ticket)
	r.mu.Unlock()
	r.room.release(footprint(a.delivery.Size))
	r.nudge()
}

// wait waits for d, or until the runner is retired.
func (r *runner) wait(d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-r.stop:
	}
}

func (r *runner) isPaused(now time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, paused := r.pause.Paused(now)
	return paused
}

func (r *runner) identity() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.settings.Identity
}

func (r *runner) configure(s *settings) {
	r.mu.Lock()
	if s.RateLimit != r.settings.RateLimit {
		r.limiter = s.newLimiter()
	}
	r.settings = s
	r.held.check = time.Time{} // the credentials that deliveries wait for may be there now
	r.mu.Unlock()
	r.nudge()
}

// retire ends the loop. Attempts in flight end by themselves.
func (r *runner) retire() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.retired {
		r.retired = true
		close(r.stop)
	}
}

func (r *runner) wake() {
	r.mu.Lock()
	r.agenda.Wake()
	r.mu.Unlock()
	r.nudge()
}

// probe probes a paused upstream at once.
func (r *runner) probe(now time.Time) {
	r.mu.Lock()
	r.pause.ProbeNow(now)
	r.agenda.Wake()
	r.mu.Unlock()
	r.nudge()
}

func (r *runner) nudge() {
	select {
	case r.signal <- struct{}{}:
	default:
	}
}
