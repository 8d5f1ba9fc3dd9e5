package results

import (
	"context"
	"errors"
	"sync"
	"time"

	"go.uber.org/zap"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
)

// closeGrace is how long the requests of a stage may continue that the configuration does
// not have any more.
const closeGrace = 5 * time.Second

// An API is a provider's REST API, as a configuration has it for the events of a source.
type API struct {
	Provider, Source string
	Completion       *result.Completion // nil: the events are not completed
	Cleanup          *result.Cleanup    // nil: nothing is deleted at the provider

	// Recover recovers results by hand.
	Recover func(ctx context.Context, r Recovery) (admin.Recovered, error)

	// Background is what is asked of the API from time to time, until ctx ends; nil: nothing.
	Background func(ctx context.Context, store Store, logger *zap.Logger)
}

// A Set has the running stages of one queue.
type Set struct {
	queue queue.Queue
	store Store

	mu         sync.RWMutex
	stages     map[string]stage // by name
	background context.CancelFunc
	idle       chan struct{}  // closed when the background has ended
	closing    sync.WaitGroup // stages that the configuration does not have any more, and the background
	closed     bool

	states states
}

// A stage is a running stage of package result.
type stage interface {
	Wake()
	Probe()
	Status() result.StageStatus
	Close(ctx context.Context) error
}

// New returns a Set without stages.
func New(q queue.Queue, store Store) *Set {
	idle := make(chan struct{})
	close(idle)
	return &Set{queue: q, store: store, stages: make(map[string]stage), background: func() {}, idle: idle}
}

// Apply replaces the configuration. Stages that both have continue with the new settings,
// and probe a paused API at once. After Close, Apply does nothing.
func (s *Set) Apply(apis []API, o *Observer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.background()
	ctx, cancel := context.WithCancel(context.Background())
	s.background = cancel
	before, idle := s.idle, make(chan struct{})
	s.idle = idle
	s.closing.Go(func() {
		defer close(idle)
		<-before // it may be about the same accounts
		var all sync.WaitGroup
		for _, a := range apis {
			if a.Background != nil {
				all.Go(func() { a.Background(ctx, s.store, o.Logger) })
			}
		}
		all.Wait()
	})
	old := s.stages
	s.stages = make(map[string]stage)
	for _, a := range apis {
		if a.Completion != nil {
			s.complete(a, old, s.states.watch(o))
		}
		if a.Cleanup != nil {
			s.cleanUp(a, old, s.states.watch(o))
		}
	}
	for _, running := range old {
		s.closing.Go(func() {
			ctx, cancel := context.WithTimeout(context.Background(), closeGrace)
			defer cancel()
			_ = running.Close(ctx) // its requests were cancelled, and their events stay in the queue
		})
	}
}

// complete runs the completion of an API.
func (s *Set) complete(a API, old map[string]stage, o result.Observer) {
	name := queue.Completion(a.Provider, a.Source)
	running, ok := old[name].(*result.CompletionStage)
	if ok {
		running.Configure(*a.Completion, o)
		delete(old, name)
	} else {
		running = result.NewCompletion(s.queue, a.Provider, a.Source, *a.Completion, o)
	}
	s.stages[name] = running
}

// cleanUp runs the cleanup of an API.
func (s *Set) cleanUp(a API, old map[string]stage, o result.Observer) {
	name := queue.Cleanup(a.Provider, a.Source)
	running, ok := old[name].(*result.CleanupStage)
	if ok {
		running.Configure(*a.Cleanup, o)
		delete(old, name)
	} else {
		running = result.NewCleanup(s.queue, a.Provider, a.Source, *a.Cleanup, o)
	}
	s.stages[name] = running
}

// Wake has a stage ask the queue. It does not block.
func (s *Set) Wake(name string) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if running := s.stages[name]; running != nil {
		running.Wake()
	}
}

// Probe asks every paused API at once. It does not block.
func (s *Set) Probe() {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for _, running := range s.stages {
		running.Probe()
	}
}

// Has reports whether a stage runs.
func (s *Set) Has(name string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.stages[name] != nil
}

// Close stops all stages and waits for their requests. When ctx ends first, it cancels
// them.
func (s *Set) Close(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	all := s.stages
	s.stages = nil
	s.background()
	s.mu.Unlock()
	var wait sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for _, running := range all {
		wait.Go(func() {
			if err := running.Close(ctx); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wait.Wait()
	s.closing.Wait()
	return errors.Join(errs...)
}
