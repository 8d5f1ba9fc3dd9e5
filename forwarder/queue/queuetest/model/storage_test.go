package model_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest"
	"github.com/scribegate/scribegate/forwarder/queue/queuetest/model"
)

// TestSuiteAgainstReference runs the suite on the model itself.
func TestSuiteAgainstReference(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, openReference)
}

func openReference(t testing.TB, s queue.Settings, clock *queuetest.Clock) *queuetest.Engine {
	t.Helper()
	e, _ := openStorage(t, s, clock)
	return e
}

func openStorage(t testing.TB, s queue.Settings, clock *queuetest.Clock) (*queuetest.Engine, *referenceStorage) {
	t.Helper()
	storage := &referenceStorage{keys: make(map[*model.Event]int)}
	storage.model = model.New(s, nil)
	q := storage.open(s, clock)
	return &queuetest.Engine{
		Queue: q,
		Flush: func() { q.locked(q.applyOutcomes) },
		Sweep: func() { q.locked(q.model.Sweep) },
		Reopen: func(s queue.Settings) queue.Queue {
			if err := q.Close(); err != nil {
				t.Fatal(err)
			}
			q = storage.open(s, clock)
			return q
		},
		Crash: func(s queue.Settings) queue.Queue {
			q.kill()
			q = storage.open(s, clock)
			return q
		},
		FailWrites: func(fail bool) {
			q.locked(func() { storage.failing = fail })
		},
		DamageRecent: func(s queue.Settings, id string) (queue.Queue, func() []error) {
			q.kill()
			storage.lose(id)
			q = storage.open(s, clock)
			return q, func() []error { return []error{errors.New("a record is damaged")} }
		},
		Rotate: func() error {
			q.locked(storage.reseal)
			return nil
		},
	}, storage
}

// A referenceStorage is the content that a closed reference keeps.
type referenceStorage struct {
	model    *model.Model
	lastUsed time.Time
	failing  bool
	key      int
	keys     map[*model.Event]int // by event
	misses   bool                 // whether a rotation skips the newest event
}

// lose removes an event without a trace.
func (s *referenceStorage) lose(id string) {
	s.model.Events = slices.DeleteFunc(s.model.Events, func(e *model.Event) bool { return e.Event.ID == id })
}

// reseal reseals every event with a new key.
func (s *referenceStorage) reseal() {
	s.key++
	for i, e := range s.model.Events {
		if !s.misses || i < len(s.model.Events)-1 {
			s.keys[e] = s.key
		}
	}
}

func (s *referenceStorage) open(settings queue.Settings, clock *queuetest.Clock) *reference {
	q := &reference{
		referenceStorage: s, clock: clock, ages: queue.NewAgeClock(s.lastUsed, clock.Elapsed()),
		wake: func(string) {}, closed: make(chan struct{}),
	}
	s.model.Settings, s.model.Now = settings, q.now
	s.model.Restart()
	_, _ = q.now() // starts the age clock
	return q
}
