package result

import (
	"fmt"
	"time"

	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// problemInterval is the least time between two reports of a problem that persists.
	problemInterval = time.Minute

	// announceStep is by how much a pause must be extended to be announced again.
	announceStep = time.Minute
)

// run is the loop. One timer covers all that is due next.
func (s *Stage) run() {
	defer s.end()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-s.stop:
			return
		case <-s.signal:
		case <-timer.C:
		}
		timer.Reset(s.pass())
	}
}

// end releases what is held.
func (s *Stage) end() {
	for _, d := range s.held {
		s.queue.Release(d)
	}
	s.held = nil
	if s.announced {
		s.notify().Resumed(s.name)
	}
}

// pass starts all attempts that may start now, and returns how long to wait.
func (s *Stage) pass() time.Duration {
	for {
		now := time.Now()
		s.announce(now)
		s.mu.Lock()
		_, paused := s.pause.Paused(now)
		room, again := s.pause.Room(now)
		free := min(room, concurrency-s.inFlight)
		ready, at := s.agenda.Ready(now)
		at = pace.Earlier(at, pace.Earlier(again, now.Add(pace.MaxCheck)))
		s.mu.Unlock()
		switch {
		case s.stopped():
			return pace.MaxCheck
		case free > 0 && len(s.held) > 0 && (!paused || !s.onlyProbedHeld() || !s.claimProbe(now)):
			s.startHeld(now, free)
		case free > 0 && paused && now.Before(s.noProbe):
			at = pace.Earlier(s.noProbe, at)
			if !ready || !s.claimIdle(now) {
				return at.Sub(now)
			}
		case free > 0 && paused:
			s.claimProbe(now)
		case free > 0 && ready:
			s.claim(now, free)
		case paused && ready && s.claimIdle(now):
		default:
			return at.Sub(now)
		}
	}
}

func (s *Stage) stopped() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// onlyProbedHeld reports whether nothing but the event of the newest probe is held.
func (s *Stage) onlyProbedHeld() bool { return len(s.held) == 1 && s.held[0].EventID == s.probed }

// startHeld starts attempts at held deliveries. The event of the newest probe is used for
// the next one only if there is no other: it may be the event that makes the API fail.
func (s *Stage) startHeld(now time.Time, n int) {
	for ; n > 0 && len(s.held) > 0; n-- {
		i := 0
		if s.held[0].EventID == s.probed && len(s.held) > 1 {
			i = 1
		}
		d := s.held[i]
		s.held = append(s.held[:i], s.held[i+1:]...)
		s.start(now, d)
	}
}

// claim claims n deliveries and starts an attempt at each.
func (s *Stage) claim(now time.Time, n int) {
	s.asking(now)
	deliveries, next, err := s.claimBoth(now, n)
	for _, d := range deliveries {
		s.start(now, d)
	}
	s.asked(now, len(deliveries) == n, next, err)
}

// claimBoth claims n deliveries, those that are new before retries or, in turn, the other
// way round.
func (s *Stage) claimBoth(now time.Time, n int) ([]queue.Delivery, time.Time, error) {
	s.turn++
	want := []queue.Want{{First: n}, {Retry: n}}
	if s.turn%retryTurn == 0 {
		want[0], want[1] = want[1], want[0]
	}
	got, err := s.queue.Claim(s.name, now, want[0])
	deliveries := got.Deliveries
	if err != nil || len(deliveries) == n {
		return deliveries, got.Next, err
	}
	left := n - len(deliveries)
	more, err := s.queue.Claim(s.name, now, queue.Want{First: min(want[1].First, left), Retry: min(want[1].Retry, left)})
	return append(deliveries, more.Deliveries...), more.Next, err
}

// claimProbe claims a delivery to probe the API with, and reports whether there was one.
func (s *Stage) claimProbe(now time.Time) bool {
	deliveries, _, err := s.claimBoth(now, 1)
	if len(deliveries) == 0 {
		s.noProbe = now.Add(probeCheck)
	}
	for _, d := range deliveries {
		s.start(now, d)
	}
	if err != nil {
		s.asked(now, false, time.Time{}, err)
	}
	return len(deliveries) > 0
}

// claimIdle claims retries while the stage is paused, settles those that need no request,
// and holds the others. It reports whether there may be more.
func (s *Stage) claimIdle(now time.Time) bool {
	if len(s.held) >= maxHeld || !s.work.idles() {
		return false
	}
	s.asking(now)
	got, err := s.queue.Claim(s.name, now, queue.Want{Retry: idleClaim})
	for _, d := range got.Deliveries {
		if s.work.idle(d) {
			s.startIdle(d)
		} else {
			s.held = append(s.held, d)
		}
	}
	s.asked(now, len(got.Deliveries) == idleClaim, got.Next, err)
	return err == nil
}

func (s *Stage) asking(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.agenda.Asking(now)
}

func (s *Stage) asked(now time.Time, more bool, next time.Time, err error) {
	s.mu.Lock()
	if err != nil {
		s.agenda.Failed(now)
	} else {
		s.agenda.Asked(now, more, next)
	}
	s.mu.Unlock()
	if err != nil {
		s.report(now, fmt.Errorf("asking the queue for events to complete or to clean up: %w", err))
	}
}

// start starts an attempt that may ask the API.
func (s *Stage) start(now time.Time, d queue.Delivery) {
	s.mu.Lock()
	ticket, ok := s.pause.Begin(now)
	if ok {
		s.inFlight++
	}
	s.mu.Unlock()
	if !ok { // paused since it was claimed
		s.held = append(s.held, d)
		return
	}
	if s.probed = ""; ticket.Probe {
		s.probed = d.EventID
	}
	a := &attempt{stage: s, delivery: d, ticket: ticket}
	s.wait.Add(1)
	s.workers.Go(func() {
		defer s.wait.Done()
		a.run()
	})
}

// startIdle starts an attempt that makes no request.
func (s *Stage) startIdle(d queue.Delivery) {
	s.mu.Lock()
	s.inFlight++
	cause := s.pause.Cause()
	s.mu.Unlock()
	a := &attempt{stage: s, delivery: d, idle: true, cause: cause}
	s.wait.Add(1)
	s.workers.Go(func() {
		defer s.wait.Done()
		a.run()
	})
}

// announce notifies the observer when the stage is paused or resumed.
func (s *Stage) announce(now time.Time) {
	s.mu.Lock()
	until, paused := s.pause.Paused(now)
	cause := s.pause.Cause()
	if s.announced && !paused {
		s.agenda.Wake()
	}
	s.mu.Unlock()
	if paused == s.announced && until.IsZero() == s.until.IsZero() && until.Sub(s.until) <= announceStep {
		return
	}
	s.announced, s.until = paused, until
	if paused {
		s.notify().Paused(s.name, until, cause)
		return
	}
	s.notify().Resumed(s.name)
}

// report reports an error to the observer, unless one was reported just before.
func (s *Stage) report(now time.Time, err error) {
	s.mu.Lock()
	known := !s.problem.IsZero() && now.Sub(s.problem) < problemInterval
	if !known {
		s.problem = now
	}
	s.mu.Unlock()
	if !known {
		s.notify().Problem(s.name, err)
	}
}
