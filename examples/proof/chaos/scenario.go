package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// A scenario injects one kind of fault and counts the events.
type scenario struct {
	name string // for -only
	text string // one line for -list
	run  func(ctx context.Context, e *env) ([]result, error)

	onlyNamed bool // runs only if -only names it
}

// scenarios are all scenarios, in the order in which they run.
var scenarios = []scenario{
	killScenario,
	powercutScenario,
	backlogScenario,
	compactScenario,
	backupScenario,
	eraseScenario,
	tamperScenario,
	damageIndexScenario,
	damageWALScenario,
	reloadScenario,
	upstreamsScenario,
	resultsScenario,
	diskFullScenario,
	maxSizeScenario,
	soakScenario,
}

// A result is a row of the table.
type result struct {
	fault        string
	times        int           // how many times the fault was injected
	acknowledged int           // number of events answered with 200
	delivered    int           // of these, those that each of their upstreams has accepted
	lost         int           // of these, the others
	duplicated   int           // deliveries after an event's first one at an upstream
	recovery     time.Duration // the longest; 0 if there is nothing to recover from
	note         string
}

// An env is the environment of a scenario.
type env struct {
	binary string    // of the gateway
	log    io.Writer // for the progress; may be nil
	dir    string    // for the directories of rigs
	large  bool
	soak   time.Duration
}

// pick returns the number for the -size of this run.
func (e *env) pick(small, large int) int {
	if e.large {
		return large
	}
	return small
}

// logf logs the progress of a scenario.
func (e *env) logf(format string, args ...any) {
	if e.log == nil {
		return
	}
	fmt.Fprintf(e.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// random returns a number from 0 up to below, without below.
func random[T int | time.Duration](below T) T {
	return rand.N(max(below, 1)) //nolint:gosec // not used for secrets
}
