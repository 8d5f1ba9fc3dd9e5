package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// A scenario does one kind of damage and counts what came of it.
type scenario struct {
	name string // as -only has it
	text string // for -list, a line
	run  func(ctx context.Context, e *env) ([]result, error)

	onlyNamed bool // runs only where -only names it
}

// scenarios are all there are, in the order in which they run.
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
	diskFullScenario,
	maxSizeScenario,
	soakScenario,
}

// A result is a row of the table.
type result struct {
	fault        string
	times        int           // how often the fault was done
	acknowledged int           // events that were answered with 200
	delivered    int           // of these, those that every upstream they are for has taken
	lost         int           // of these, those that some upstream has not
	duplicated   int           // deliveries beyond an event's first at an upstream
	recovery     time.Duration // the longest; 0 where there is nothing to recover from
	note         string
}

// An env is what a scenario is given.
type env struct {
	binary string    // of the gateway
	log    io.Writer // of how far it has come; may be nil
	dir    string    // below which rigs make their directories
	large  bool
	soak   time.Duration
}

// pick returns the number for the size that was asked for.
func (e *env) pick(small, large int) int {
	if e.large {
		return large
	}
	return small
}

// say reports how far a scenario has come.
func (e *env) say(format string, args ...any) {
	if e.log == nil {
		return
	}
	fmt.Fprintf(e.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// random returns a number from 0 up to, but not including, another one.
func random[T int | time.Duration](below T) T {
	return rand.N(max(below, 1)) //nolint:gosec // nothing secret comes of it
}
