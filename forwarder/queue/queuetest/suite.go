package queuetest

import (
	"context"
	"testing"
	"time"

	"github.com/scribegate/scribegate/forwarder/queue"
)

// An Engine is a queue under test and what a test can do to it. A hook that is nil
// is one that the engine does not have: the cases that need it log so.
type Engine struct {
	queue.Queue

	// Flush returns when every outcome that was settled before is durable.
	Flush func()

	// Sweep returns when everything is deleted whose retention has ended by the clock.
	Sweep func()

	// Reopen closes the queue and opens the same store again, with the settings.
	Reopen func(s queue.Settings) queue.Queue

	// Crash opens the store again as it is on disk after the process was killed:
	// what was not durable is lost. May be nil.
	Crash func(s queue.Settings) queue.Queue

	// FailWrites makes every write to storage fail until it is called with false.
	// May be nil.
	FailWrites func(fail bool)

	// DamageRecent kills the engine, flips bytes of the event's record where it was
	// last written, before that has reached the main file, and opens the store again.
	// Reported returns the errors that the engine has reported about the store since
	// then. May be nil.
	DamageRecent func(s queue.Settings, id string) (reopened queue.Queue, reported func() []error)

	// Rotate puts a new key first, waits until no stored event needs an older one,
	// and removes the older ones, so that Reopen and Crash have the newest key only.
	// May be nil.
	Rotate func() error
}

// Open opens an empty store for one test, by the clock's Now and Elapsed. The engine
// is closed by the test or at its end.
type Open func(t testing.TB, s queue.Settings, clock *Clock) *Engine

// caseTime is how long a case may take, so that a call that hangs fails its case.
const caseTime = 3 * time.Minute

// A testCase is one promise.
type testCase struct {
	name     string
	settings func(*queue.Settings) // changes the defaults; may be nil
	test     func(*harness)
}

// cases returns all of them but the model.
func cases() (all []testCase) {
	for _, group := range [][]testCase{
		storing, deduplicating, claiming, settling, failing, retaining, jumping,
		listing, finding, replaying, routing, purging, purgingClaimed, progressing, counting, visible, paging, damaging,
	} {
		all = append(all, group...)
	}
	return all
}

// Run runs the suite against an engine.
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

// RunCase runs the one case with the name.
func RunCase(t testing.TB, open Open, name string) {
	t.Helper()
	for _, c := range cases() {
		if c.name == name {
			c.run(t, open)
			return
		}
	}
	t.Fatalf("the suite has no case %q", name)
}

// run runs one case with an engine of its own.
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
