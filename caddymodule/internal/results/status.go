package results

import (
	"cmp"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/forwarder/queue"
	"github.com/scribegate/scribegate/forwarder/result"
)

// Status returns the state of each API that is configured or that events wait for, in the
// order of their providers and sources. stats are those of the queue.
func (s *Set) Status(stats queue.Stats, now time.Time) []admin.APIStatus {
	s.mu.RLock()
	running := maps.Clone(s.stages)
	s.mu.RUnlock()

	byName := make(map[string]*admin.APIStatus) // by the name of the completion
	of := func(name string) *admin.APIStatus {
		provider, source := queue.StageOf(name)
		key := queue.Completion(provider, source)
		if byName[key] == nil {
			byName[key] = &admin.APIStatus{Provider: provider, Source: source}
		}
		return byName[key]
	}
	for name, counts := range stats.Stages {
		if counts.Pending == 0 && running[name] == nil {
			continue
		}
		a := of(name)
		if queue.IsCleanup(name) {
			a.Cleanups = counts.Pending
			continue
		}
		a.Pending, a.InFlight = counts.Pending, counts.InFlight
		if !counts.OldestPending.IsZero() {
			a.OldestPendingSeconds = max(0, now.Sub(counts.OldestPending).Seconds())
		}
	}
	for name, stage := range running {
		a, st := of(name), stage.Status()
		a.Configured = true
		if !a.Paused {
			a.Paused, a.PauseReason, a.PausedUntil = st.Paused, st.PauseReason, admin.OptionalTime(st.PausedUntil)
		}
		if queue.IsCompletion(name) {
			a.InFlight = int64(st.InFlight)
		}
		s.states.describe(name, a)
	}
	all := make([]admin.APIStatus, 0, len(byName))
	for _, a := range byName {
		all = append(all, *a)
	}
	slices.SortFunc(all, func(a, b admin.APIStatus) int {
		return cmp.Or(cmp.Compare(a.Provider, b.Provider), cmp.Compare(a.Source, b.Source))
	})
	return all
}

// states has the newest success and the newest failure of each stage, since the process
// started.
type states struct {
	mu     sync.Mutex
	byName map[string]*state
}

type state struct {
	success time.Time
	failure admin.APIFailure
}

// watch returns an observer that records the attempts, and notifies o.
func (s *states) watch(o *Observer) result.Observer { return watcher{o, s} }

type watcher struct {
	*Observer
	states *states
}

// Attempted implements result.Observer.
func (w watcher) Attempted(r result.Report) {
	w.attempted(r, r.Asked && w.states.record(r))
}

// record records an attempt, and reports whether it failed for another reason than the
// failure before.
func (s *states) record(r result.Report) (newReason bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.byName == nil {
		s.byName = make(map[string]*state)
	}
	name := r.Outcome.Delivery.Upstream
	st := s.byName[name]
	if st == nil {
		st = new(state)
		s.byName[name] = st
	}
	ended := r.Outcome.At.Add(r.Outcome.Duration).UTC()
	if r.Word == result.Done {
		st.success = ended
		return false
	}
	newReason = st.failure.Reason != string(r.Word)
	st.failure = admin.APIFailure{At: ended, Reason: string(r.Word), Status: r.Outcome.Status}
	return newReason
}

// describe adds the newest success and failure of a stage to the status of its API.
func (s *states) describe(name string, a *admin.APIStatus) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.byName[name]
	if st == nil {
		return
	}
	if !st.success.IsZero() && (a.LastSuccess == nil || st.success.After(*a.LastSuccess)) {
		a.LastSuccess = admin.OptionalTime(st.success)
	}
	if f := st.failure; !f.At.IsZero() && (a.LastFailure == nil || f.At.After(a.LastFailure.At)) {
		a.LastFailure = &f
	}
}
