package result

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/internal/pace"
	"github.com/scribegate/scribegate/forwarder/queue"
)

const (
	// concurrency is the number of attempts of a stage at once. The rate limit bounds them
	// anyway.
	concurrency = 8

	// retryTurn: every so many claims prefer retries to events that are new.
	retryTurn = 4

	// idleClaim is how many retries a paused stage claims at once, and maxHeld how many it
	// holds until its API is back.
	idleClaim = 16
	maxHeld   = 1000

	// probeCheck is when a paused stage looks again for a delivery to probe with.
	probeCheck = time.Second

	// closeGrace is how long Close waits for attempts that it has cancelled.
	closeGrace = 2 * time.Second
)

// ErrStuck says that attempts went on although they were cancelled.
var ErrStuck = errors.New("closing a stage: attempts did not end when cancelled; their events stay in the queue")

// work is what a stage does with a delivery.
type work interface {
	// attempt asks the API, and sets the outcome.
	attempt(ctx context.Context, a *attempt)

	// idle reports whether a delivery goes on while the API is away. If so, expire sets
	// its outcome without a request; cause is why the stage is paused.
	idle(d queue.Delivery) bool
	expire(a *attempt, cause error)

	// idles reports whether there are such deliveries at all, and needsEvent whether
	// attempts need the event.
	idles() bool
	needsEvent() bool
}

// A Stage claims the deliveries of one stage, asks the provider's API, and settles the
// outcomes. While the API is away it is paused like an upstream.
type Stage struct {
	name     string
	queue    queue.Queue
	work     work
	observer atomic.Pointer[Observer]
	workers  *forwarder.Workers

	ctx    context.Context // of all attempts
	cancel context.CancelFunc
	signal chan struct{}  // wakes the loop
	stop   chan struct{}  // closed by Close
	wait   sync.WaitGroup // for the loop and the attempts

	mu       sync.Mutex // never held while anything blocks
	agenda   pace.Agenda
	pause    pace.Pause
	inFlight int
	held     []queue.Delivery // claimed, and wait until the API is back
	closed   bool
	problem  time.Time // when one was last reported

	// The loop's own.
	turn      int
	probed    string    // the id of the event of the newest probe
	noProbe   time.Time // nothing was due for a probe: it is looked for again then
	announced bool      // the observer has been notified that the stage is paused
	until     time.Time // and until then; zero: until a probe succeeds
}

func newStage(q queue.Queue, name string, w work, o Observer) *Stage {
	s := &Stage{name: name, queue: q, work: w, workers: forwarder.NewWorkers(), signal: make(chan struct{}, 1), stop: make(chan struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.observe(o)
	s.wait.Go(s.run)
	return s
}

// Name returns the name of the stage in the queue.
func (s *Stage) Name() string { return s.name }

func (s *Stage) observe(o Observer) {
	if o == nil {
		o = noObserver{}
	}
	s.observer.Store(&o)
}

func (s *Stage) notify() Observer { return *s.observer.Load() }

// Wake has the stage ask the queue, since a delivery may have become due. It does not
// block.
func (s *Stage) Wake() {
	s.mu.Lock()
	s.agenda.Wake()
	s.mu.Unlock()
	s.nudge()
}

// Probe asks a paused API at once, with the next delivery that is due. It does not block.
func (s *Stage) Probe() {
	s.mu.Lock()
	s.pause.ProbeNow(time.Now())
	s.agenda.Wake()
	s.mu.Unlock()
	s.nudge()
}

// A StageStatus is the state of a stage.
type StageStatus struct {
	Name        string
	InFlight    int
	Paused      bool
	PauseReason forwarder.PauseReason // "" if it is not paused
	PausedUntil time.Time             // when it goes on, or is probed next
	Cause       error                 // of the pause; nil if it is not paused
}

// Status returns the state of the stage.
func (s *Stage) Status() StageStatus {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := StageStatus{Name: s.name, InFlight: s.inFlight}
	st.PauseReason, st.PausedUntil = s.pause.Reason(time.Now())
	if st.Paused = st.PauseReason != ""; st.Paused {
		st.Cause = s.pause.Cause()
	}
	return st
}

// Close stops claiming deliveries and waits for the attempts in flight. When ctx ends
// first, it cancels them and releases their deliveries, as if they had not been tried.
func (s *Stage) Close(ctx context.Context) error {
	s.mu.Lock()
	if !s.closed {
		s.closed = true
		close(s.stop)
	}
	s.mu.Unlock()

	done := make(chan struct{})
	go func() {
		s.wait.Wait()
		close(done)
	}()
	defer s.workers.Close()
	defer s.cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
	}
	s.cancel()
	grace := time.NewTimer(closeGrace)
	defer grace.Stop()
	select {
	case <-done:
		return nil
	case <-grace.C:
		return ErrStuck
	}
}

func (s *Stage) nudge() {
	select {
	case s.signal <- struct{}{}:
	default:
	}
}
