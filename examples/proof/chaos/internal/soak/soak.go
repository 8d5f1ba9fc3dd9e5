package soak

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/load"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
)

// Scenario injects random faults.
var Scenario = scenario.Scenario{
	Name:      "soak",
	Text:      "random faults for the duration -soak; runs only if -only names it",
	Run:       runSoak,
	OnlyNamed: true,
}

// The maximum growth of a gateway after hours of faults, measured when it is idle.
const (
	soakGoroutines = 20
	soakHandles    = 20
	soakMemory     = 64 << 20
)

// A soakRun is a gateway with random faults.
type soakRun struct {
	env  *scenario.Env
	rig  *gateway.Rig
	book *ledger.Book
	dead *ledger.Book // for the upstream that answers 410
	text string

	loads    []*load.Load
	done     map[string]int // number of faults, by name
	recovery time.Duration
}

func runSoak(ctx context.Context, e *scenario.Env) (rows []table.Row, err error) {
	r, err := e.NewRig(ctx, "ehr", "audit", "grave")
	if err != nil {
		return nil, err
	}
	defer r.CloseInto(&err)
	r.Ledger.Backend("grave").Behave(alwaysGone)
	s := &soakRun{env: e, rig: r, book: ledger.NewBook(), dead: ledger.NewBook(), done: make(map[string]int)}
	s.text = r.Caddyfile(soakOptions)
	if err := r.Start(ctx, s.text); err != nil {
		return nil, err
	}

	// A leak is only visible in a process that is not restarted: so the kills are in the first half, and the second
	// half is measured from its start to its end.
	start, err := s.half(ctx, 3*time.Second, nil)
	if err != nil {
		return nil, fmt.Errorf("at the start: %w", err)
	}
	e.Logf("  at rest: %s", start)
	if _, err := s.half(ctx, e.Soak/2, append(slices.Clone(faults), kill, restart)); err != nil {
		return nil, err
	}
	if err := s.restart(ctx, r.Stop); err != nil {
		return nil, err
	}
	middle, err := s.half(ctx, 3*time.Second, nil)
	if err != nil {
		return nil, err
	}
	e.Logf("  at rest: %s", middle)
	end, err := s.half(ctx, e.Soak/2, faults)
	if err != nil {
		return nil, err
	}
	e.Logf("  at rest: %s", end)

	row, err := r.Settle(ctx, s.book, time.Minute)
	if err != nil {
		return nil, err
	}
	times := 0
	var counts []string
	for _, name := range slices.Sorted(maps.Keys(s.done)) {
		times += s.done[name]
		counts = append(counts, fmt.Sprintf("%s × %d", name, s.done[name]))
	}
	row.Fault, row.Times, row.Recovery = "faults at random for "+e.Soak.String(), times, s.recovery
	row.Note = fmt.Sprintf("%s; at rest at the start: %s; after the last restart: %s; at the end: %s; %s", strings.Join(counts, ", "), start, middle, end, s.book.Others())
	if err = leaked(middle, end); err != nil {
		dump, dumpErr := r.GoroutineDump(ctx)
		err = errors.Join(fmt.Errorf("%w; the goroutines are:\n%s", err, dump), dumpErr)
	}
	if s.recovery > scenario.PromisedRecovery {
		err = errors.Join(err, fmt.Errorf("delivery resumed only %.2f s after a start; %s is promised", s.recovery.Seconds(), scenario.PromisedRecovery))
	}
	return []table.Row{row}, err
}

// leaked returns an error if a resource has grown too much between two measurements.
func leaked(before, after gateway.Footprint) error {
	switch {
	case after.Goroutines > before.Goroutines+soakGoroutines:
		return fmt.Errorf("goroutines have leaked: %d before, %d at the end", before.Goroutines, after.Goroutines)
	case after.Handles > before.Handles+soakHandles:
		return fmt.Errorf("handles have leaked: %d before, %d at the end", before.Handles, after.Handles)
	case after.Memory > before.Memory+soakMemory:
		return fmt.Errorf("memory has grown: %s before, %s at the end", table.Mebibytes(before.Memory), table.Mebibytes(after.Memory))
	}
	return nil
}

// half sends events and injects faults for a time, and then measures the idle gateway.
func (s *soakRun) half(ctx context.Context, d time.Duration, faults []fault) (gateway.Footprint, error) {
	s.send(ctx)
	defer s.stop()
	until, reported := time.Now().Add(d), time.Now()
	for time.Now().Before(until) {
		if len(faults) > 0 {
			f := faults[scenario.Random(len(faults))]
			if err := f.do(ctx, s); err != nil {
				return gateway.Footprint{}, fmt.Errorf("%s: %w", f.name, err)
			}
			s.done[f.name]++
		}
		if time.Since(reported) > time.Minute {
			reported = time.Now()
			if err := s.report(ctx); err != nil {
				return gateway.Footprint{}, err
			}
		}
		if err := await.Sleep(ctx, min(scenario.Random(2*time.Second), time.Until(until))); err != nil {
			return gateway.Footprint{}, err
		}
	}
	s.stop()
	return s.measureIdle(ctx)
}

func (s *soakRun) send(ctx context.Context) {
	f := s.rig.Fleet()
	f.Rate, f.Again, f.Upstreams = 200, true, []string{"ehr", "audit"}
	g := s.rig.Fleet()
	g.Rate, g.Senders, g.Notes, g.NotesOnly = 5, 1, "/grave", true
	s.loads = []*load.Load{f.Start(ctx, s.book), g.Start(ctx, s.dead)}
}

func (s *soakRun) stop() {
	for _, l := range s.loads {
		l.Stop()
	}
	s.loads = nil
}

// report logs the progress.
func (s *soakRun) report(ctx context.Context) error {
	f, err := s.rig.Footprint(ctx)
	if err != nil {
		return err
	}
	waiting := s.rig.Ledger.Watch(s.book)
	waiting.End()
	times := 0
	for _, n := range s.done {
		times += n
	}
	s.env.Logf("  %d faults, %d acknowledged, %d deliveries waiting, %s", times, s.book.Events(), waiting.Number, f)
	return nil
}

// measureIdle measures the gateway when it is idle, without connections to backends, and with a compacted file.
func (s *soakRun) measureIdle(ctx context.Context) (gateway.Footprint, error) {
	if err := s.restore(ctx); err != nil {
		return gateway.Footprint{}, err
	}
	row, err := s.rig.Settle(ctx, s.book, 90*time.Second) // a paused upstream is probed once a minute
	if err != nil {
		return gateway.Footprint{}, err
	}
	if row.Lost > 0 {
		return gateway.Footprint{}, fmt.Errorf("%d of %d acknowledged events were not delivered", row.Lost, row.Acknowledged)
	}
	if _, err := s.rig.PurgeDead(ctx); err != nil {
		return gateway.Footprint{}, err
	}
	for _, name := range s.rig.Ledger.Names() {
		b := s.rig.Ledger.Backend(name)
		b.Stop()
		if err := b.Start(ctx); err != nil {
			return gateway.Footprint{}, err
		}
	}
	if _, err := s.rig.Compact(ctx); err != nil {
		return gateway.Footprint{}, err
	}
	return s.measureStable(ctx)
}

// stableTime is longer than the gateway keeps an idle goroutine.
const stableTime = 6 * time.Second

// measureStable measures until the number of goroutines no longer decreases.
func (s *soakRun) measureStable(ctx context.Context) (f gateway.Footprint, err error) {
	least, since := 0, time.Now()
	for time.Since(since) < stableTime {
		if f, err = s.rig.Footprint(ctx); err != nil {
			return f, err
		}
		if least == 0 || f.Goroutines < least {
			least, since = f.Goroutines, time.Now()
		}
		if err := await.Sleep(ctx, 100*time.Millisecond); err != nil {
			return f, err
		}
	}
	return f, nil
}
