// Package jobs runs long work of the console and keeps its outcome for a while, so that a visitor
// can follow it and nobody starts it twice.
package jobs

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

const (
	maxRunning  = 16
	maxFinished = 100

	// Keep is how long the outcome of a job is kept.
	Keep = 10 * time.Minute
)

// ErrBusy is returned if too many jobs run.
var ErrBusy = errors.New("too many replays and purges are running; wait until one has ended")

// A Registry has the jobs of the process.
type Registry struct {
	mu   sync.Mutex
	jobs []*Job // in the order of their start
}

// A Job is work that was started.
type Job struct {
	ID    string
	About any // what the caller of Start wants to know about it

	registry *Registry
	done     chan struct{}
	state    State // guarded by registry.mu
}

// A State is how far a job is.
type State struct {
	Done, Total int64 // Total is 0 if it is not known
	Began       time.Time
	Ended       time.Time // zero while it runs
	Outcome     any       // of a job that has ended
}

// Running reports whether the job has not ended.
func (s State) Running() bool { return s.Ended.IsZero() }

// Start starts a job, unless there is one with the id: it returns that one then. run gets a
// function to report its progress with, and returns the outcome. It runs until it ends, whatever
// becomes of the request and of the configuration.
func (r *Registry) Start(id string, about any, run func(ctx context.Context, report func(done, total int64)) any) (*Job, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(time.Now())
	running := 0
	for _, j := range r.jobs {
		if j.ID == id {
			return j, nil
		}
		if j.state.Running() {
			running++
		}
	}
	if running >= maxRunning {
		return nil, ErrBusy
	}
	j := &Job{ID: id, About: about, registry: r, done: make(chan struct{}), state: State{Began: time.Now()}}
	r.jobs = append(r.jobs, j)
	go func() {
		outcome := run(context.Background(), j.report)
		r.mu.Lock()
		defer r.mu.Unlock()
		j.state.Outcome, j.state.Ended = outcome, time.Now()
		close(j.done)
	}()
	return j, nil
}

// Get returns a job, or nil if it is not known.
func (r *Registry) Get(id string) *Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.forget(time.Now())
	for _, j := range r.jobs {
		if j.ID == id {
			return j
		}
	}
	return nil
}

// forget removes the jobs that ended long ago, and the oldest if there are too many. r.mu is
// held.
func (r *Registry) forget(now time.Time) {
	finished := 0
	for _, j := range slices.Backward(r.jobs) {
		if j.state.Running() {
			continue
		}
		if finished++; finished > maxFinished || now.Sub(j.state.Ended) >= Keep {
			r.jobs = slices.DeleteFunc(r.jobs, func(other *Job) bool { return other == j })
		}
	}
}

// report is the progress of the job.
func (j *Job) report(done, total int64) {
	j.registry.mu.Lock()
	defer j.registry.mu.Unlock()
	j.state.Done, j.state.Total = done, total
}

// State returns how far the job is.
func (j *Job) State() State {
	j.registry.mu.Lock()
	defer j.registry.mu.Unlock()
	return j.state
}

// Wait waits until the job has ended, or for a while.
func (j *Job) Wait(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	select {
	case <-j.done:
	case <-ctx.Done():
	}
}
