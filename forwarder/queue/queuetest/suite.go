package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Engine is a queue under test, with hooks for the tests. A nil hook means that the
// engine does not support it: the cases that need it log this.
type Engine struct {
	queue.Queue

	// Flush returns when all earlier outcomes are durable.
	Flush func()

	// Sweep returns when all events whose retention has ended by the clock are deleted.
	Sweep func()

	// Reopen closes the queue and opens the same store again, with the settings.
	Reopen func(s queue.Settings) queue.Queue

	// Crash opens the store again in the state that a killed process leaves: changes
	// that were not durable are lost. May be nil.
	Crash func(s queue.Settings) queue.Queue

	// FailWrites(true) makes every write to storage fail until FailWrites(false). May
	// be nil.
	FailWrites func(fail bool)

	// DamageRecent kills the engine, flips bytes of the newest copy of the event's
	// record before it has reached the main file, and opens the store again. reported
	// returns the errors that the engine has reported about the store since then. May
	// be nil.
	DamageRecent func(s queue.Settings, id string) (reopened queue.Queue, reported func() []error)

	// Rotate adds a new first key, waits until no stored event needs an older key, and
	// removes the older keys, so that Reopen and Crash use only the newest key. May be
	// nil.
	Rotate func() error

	// Join opens another node on the same store, whose clock is ahead of the engine's by
	// skew. May be nil.
	Join func(skew time.Duration) *Node
}

// Open opens an empty store for one test, with the clock's Now and Elapsed. The test
// closes the engine, or it is closed at the end of the test.
type Open func(t testing.TB, s queue.Settings, clock *Clock) *Engine

// caseTime is the time limit of a case, so that a hanging call fails its case.
const caseTime = 3 * time.Minute

// A testCase is one promise of package queue.
type testCase struct {
	name     string
	settings func(*queue.Settings) // changes the defaults; may be nil
	test     func(*harness)
}

// cases returns all cases except the model.
func cases() (all []testCase) {
	for _, group := range [][]testCase{
		storing, deduplicating, claiming, settling, failing, retaining, jumping,
		listing, finding, replaying, routing, purging, purgingClaimed, narrowing, progressing, counting, visible, paging, damaging, completing, confirming, cleaning, auditing, nodes,
	} {
		all = append(all, group...)
	}
	return all
}

// Run runs the suite on an engine.
func Run(t *testing.T, open Open) {
	t.Helper()
	for _, c := range cases() {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.run(t, open)
		})
	}
	t.Run("model", func(t *testing.T) {
		t.Parallel()
		runModel(t, open)
	})
}

// RunCase runs the case with the name. It panics if there is none, since a test that expects
// the case to fail would pass.
func RunCase(t testing.TB, open Open, name string) {
	t.Helper()
	for _, c := range cases() {
		if c.name == name {
			c.run(t, open)
			return
		}
	}
	panic("the suite has no case " + name)
}

// run runs one case with a new engine.
func (c testCase) run(t testing.TB, open Open) {
	t.Helper()
	s := queue.DefaultSettings()
	if c.settings != nil {
		c.settings(&s)
	}
	ctx, cancel := context.WithTimeout(t.Context(), caseTime)
	defer cancel()
	clock := NewClock()
	c.test(&harness{TB: t, Engine: open(t, s, clock), Clock: clock, ctx: ctx, settings: s})
}
