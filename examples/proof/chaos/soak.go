package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

var soakScenario = scenario{
	name:      "soak",
	text:      "random faults for the duration -soak; runs only if -only names it",
	run:       runSoak,
	onlyNamed: true,
}

// The maximum growth of a gateway after hours of faults, measured when it is idle.
const (
	soakGoroutines = 20
	soakHandles    = 20
	soakMemory     = 64 << 20
)

// A soakRun is a gateway with random faults.
type soakRun struct {
	env  *env
	rig  *rig
	book *book
	dead *book // for the upstream that answers 410
	text string

	loads    []*load
	done     map[string]int // number of faults, by name
	recovery time.Duration
}

func runSoak(ctx context.Context, e *env) (rows []result, err error) {
	r, err := e.newRig(ctx, "ehr", "audit", "grave")
	if err != nil {
		return nil, err
	}
	defer r.closeInto(&err)
	r.ledger.backend("grave").behave(alwaysGone)
	s := &soakRun{env: e, rig: r, book: newBook(), dead: newBook(), done: make(map[string]int)}
	s.text = r.caddyfile(soakOptions)
	if err := r.start(ctx, s.text); err != nil {
		return nil, err
	}

	// A leak is only visible in a process that is not restarted: so the kills are in the first half, and the second
	// half is measured from its start to its end.
	start, err := s.half(ctx, 3*time.Second, nil)
	if err != nil {
		return nil, fmt.Errorf("at the start: %w", err)
	}
	e.logf("  at rest: %s", start)
	if _, err := s.half(ctx, e.soak/2, append(slices.Clone(faults), kill, restart)); err != nil {
		return nil, err
	}
	if err := s.restart(ctx, r.stop); err != nil {
		return nil, err
	}
	middle, err := s.half(ctx, 3*time.Second, nil)
	if err != nil {
		return nil, err
	}
	e.logf("  at rest: %s", middle)
	end, err := s.half(ctx, e.soak/2, faults)
	if err != nil {
		return nil, err
	}
	e.logf("  at rest: %s", end)

	row, err := r.settle(ctx, s.book, time.Minute)
	if err != nil {
		return nil, err
	}
	times := 0
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(s.done)) {
		times += s.done[name]
		counts = append(counts, fmt.Sprintf("%s × %d", name, s.done[name]))
	}
	row.fault, row.times, row.recovery = "faults at random for "+e.soak.String(), times, s.recovery
	row.note = fmt.Sprintf("%s; at rest at the start: %s; after the last restart: %s; at the end: %s; %s", strings.Join(counts, ", "), start, middle, end, s.book.others())
	if err = leaked(middle, end); err != nil {
		dump, dumpErr := r.goroutineDump(ctx)
		err = errors.Join(fmt.Errorf("%w; the goroutines are:\n%s", err, dump), dumpErr)
	}
	if s.recovery > promisedRecovery {
		err = errors.Join(err, fmt.Errorf("delivery resumed only %.2f s after a start; %s is promised", s.recovery.Seconds(), promisedRecovery))
	}
	return []result{row}, err
}

// leaked returns an error if a resource has grown too much between two measurements.
func leaked(before, after footprint) error {
	switch {
	case after.goroutines > before.goroutines+soakGoroutines:
		return fmt.Errorf("goroutines have leaked: %d before, %d at the end", before.goroutines, after.goroutines)
	case after.handles > before.handles+soakHandles:
		return fmt.Errorf("handles have leaked: %d before, %d at the end", before.handles, after.handles)
	case after.memory > before.memory+soakMemory:
		return fmt.Errorf("memory has grown: %s before, %s at the end", mebibytes(before.memory), mebibytes(after.memory))
	}
	return nil
}

// half sends events and injects faults for a time, and then measures the idle gateway.
func (s *soakRun) half(ctx context.Context, d time.Duration, faults []fault) (footprint, error) {
	s.send(ctx)
	defer s.stop()
	until, reported := time.Now().Add(d), time.Now()
	for time.Now().Before(until) {
		if len(faults) > 0 {
			f := faults[random(len(faults))]
			if err := f.do(ctx, s); err != nil {
				return footprint{}, fmt.Errorf("%s: %w", f.name, err)
			}
			s.done[f.name]++
		}
		if time.Since(reported) > time.Minute {
			reported = time.Now()
			if err := s.report(ctx); err != nil {
				return footprint{}, err
			}
		}
		if err := sleep(ctx, min(random(2*time.Second), time.Until(until))); err != nil {
			return footprint{}, err
		}
	}
	s.stop()
	return s.measureIdle(ctx)
}

func (s *soakRun) send(ctx context.Context) {
	f := s.rig.fleet()
	f.rate, f.again, f.upstreams = 200, true, []string{"ehr", "audit"}
	g := s.rig.fleet()
	g.rate, g.senders, g.notes, g.notesOnly = 5, 1, "/grave", true
	s.loads = []*load{f.start(ctx, s.book), g.start(ctx, s.dead)}
}

func (s *soakRun) stop() {
	for _, l := range s.loads {
		l.stop()
	}
	s.loads = nil
}

// report logs the progress.
func (s *soakRun) report(ctx context.Context) error {
	f, err := s.rig.footprint(ctx)
	if err != nil {
		return err
	}
	waiting := s.rig.ledger.watch(s.book)
	waiting.end()
	times := 0
	for _, n := range s.done {
		times += n
	}
	s.env.logf("  %d faults, %d acknowledged, %d deliveries waiting, %s", times, s.book.events(), waiting.number, f)
	return nil
}

// measureIdle measures the gateway when it is idle, without connections to backends, and with a compacted file.
func (s *soakRun) measureIdle(ctx context.Context) (footprint, error) {
	if err := s.restore(ctx); err != nil {
		return footprint{}, err
	}
	row, err := s.rig.settle(ctx, s.book, 90*time.Second) // a paused upstream is probed once a minute
	if err != nil {
		return footprint{}, err
	}
	if row.lost > 0 {
		return footprint{}, fmt.Errorf("%d of %d acknowledged events were not delivered", row.lost, row.acknowledged)
	}
	if _, err := s.rig.purgeDead(ctx); err != nil {
		return footprint{}, err
	}
	for _, name := range s.rig.ledger.names() {
		b := s.rig.ledger.backend(name)
		b.stop()
		if err := b.start(ctx); err != nil {
			return footprint{}, err
		}
	}
	if _, err := s.rig.compact(ctx); err != nil {
		return footprint{}, err
	}
	return s.measureStable(ctx)
}

// stableTime is longer than the gateway keeps an idle goroutine.
const stableTime = 6 * time.Second

// measureStable measures until the number of goroutines no longer decreases.
func (s *soakRun) measureStable(ctx context.Context) (f footprint, err error) {
	least, since := 0, time.Now()
	for time.Since(since) < stableTime {
		if f, err = s.rig.footprint(ctx); err != nil {
			return f, err
		}
		if least == 0 || f.goroutines < least {
			least, since = f.goroutines, time.Now()
		}
		if err := sleep(ctx, 100*time.Millisecond); err != nil {
			return f, err
		}
	}
	return f, nil
}

// sleep waits for d, or until ctx ends, which is an error.
func sleep(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return errors.Join(ctx.Err(), context.Cause(ctx))
	}
}
