package soak

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/ledger"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/scenario"
)

// alwaysGone makes every event dead at once.
var alwaysGone = ledger.Behavior{RejectAll: true, Status: http.StatusGone}

// soakOptions have short retention times, so that events expire during the run, and a separate handler for events
// that become dead, so that a purge of dead events loses nothing.
var soakOptions = gateway.Options{
	App:     "dedupe_window 10m\nhistory_retention 1m",
	Deliver: []string{"ehr", "audit"},
	Site:    "scribegate /grave soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\ndeliver_to grave\n}",
}

// A fault is injected into a gateway under load. Faults of backends are undone at the end.
type fault struct {
	name string
	do   func(ctx context.Context, s *soakRun) error
}

// faults are the faults that do not end the process.
var faults = []fault{
	{"reload", changeSettings},
	{"bad reload", rejectSettings},
	{"compaction", compactFile},
	{"backup", backUp},
	{"purge", purgeGrave},
	{"upstream away", goAway},
	{"upstream slow", misbehave(ledger.Behavior{Delay: 300 * time.Millisecond})},
	{"upstream answers 500", misbehave(ledger.Behavior{RejectAll: true, Status: http.StatusInternalServerError})},
	{"upstream answers 429", misbehave(ledger.Behavior{RejectAll: true, Status: http.StatusTooManyRequests})},
	{"upstream refuses first", misbehave(ledger.Behavior{RejectFirst: 2})},
}

var (
	kill    = fault{"kill -9", func(ctx context.Context, s *soakRun) error { return s.restart(ctx, s.rig.Kill) }}
	restart = fault{"restart", func(ctx context.Context, s *soakRun) error { return s.restart(ctx, s.rig.Stop) }}
)

// restart ends the gateway with end while some deliveries are in progress, and starts it again.
func (s *soakRun) restart(ctx context.Context, end func() error) error {
	for _, name := range []string{"ehr", "audit"} {
		b := s.rig.Ledger.Backend(name)
		b.Behave(ledger.Behavior{Delay: 200 * time.Millisecond})
		defer b.Behave(ledger.Behavior{})
	}
	if err := await.Sleep(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	if err := end(); err != nil {
		return err
	}
	w := s.rig.Ledger.Watch(s.book)
	defer w.End()
	if err := s.rig.Start(ctx, s.text); err != nil {
		return err
	}
	if w.Number == 0 {
		return nil
	}
	took, err := s.rig.After(ctx, w.First, "the first delivery of a waiting event")
	s.recovery = max(s.recovery, took)
	return err
}

func changeSettings(ctx context.Context, s *soakRun) error {
	o := soakOptions
	lines := fmt.Sprintf("concurrency %d\n%s", 4+scenario.Random(60), gateway.UsualRetry)
	o.Upstream = map[string]string{"ehr": lines, "audit": lines}
	return s.rig.Load(ctx, s.rig.Caddyfile(o))
}

func rejectSettings(ctx context.Context, s *soakRun) error {
	err := s.rig.Load(ctx, s.rig.Caddyfile(gateway.Options{App: "no_such_directive"}))
	if !gateway.Answered(err, http.StatusBadRequest) {
		return fmt.Errorf("loading an invalid configuration: %w", err)
	}
	return nil
}

func compactFile(ctx context.Context, s *soakRun) error {
	_, err := s.rig.Compact(ctx)
	return err
}

func backUp(ctx context.Context, s *soakRun) error {
	file := filepath.Join(s.rig.Dir, "backup.db")
	if _, err := s.rig.Command(ctx, "backup", file); err != nil {
		return err
	}
	return errors.Join(gateway.Intact(ctx, file), os.Remove(file))
}

func purgeGrave(ctx context.Context, s *soakRun) error {
	_, err := s.rig.PurgeDead(ctx)
	return err
}

// goAway stops a backend for some seconds.
func goAway(ctx context.Context, s *soakRun) error {
	b := s.one()
	b.Stop()
	err := await.Sleep(ctx, scenario.Random(5*time.Second))
	if err := b.Start(ctx); err != nil {
		return err
	}
	return err
}

// misbehave returns a fault that changes a backend's behavior for some seconds.
func misbehave(m ledger.Behavior) func(context.Context, *soakRun) error {
	return func(ctx context.Context, s *soakRun) error {
		b := s.one()
		b.Behave(m)
		defer b.Behave(ledger.Behavior{})
		return await.Sleep(ctx, scenario.Random(5*time.Second))
	}
}

// one returns a random backend whose events must not be lost.
func (s *soakRun) one() *ledger.Backend {
	return s.rig.Ledger.Backend([]string{"ehr", "audit"}[scenario.Random(2)])
}

// restore resets the backends and the configuration.
func (s *soakRun) restore(ctx context.Context) error {
	for _, name := range []string{"ehr", "audit"} {
		s.rig.Ledger.Backend(name).Behave(ledger.Behavior{})
	}
	return s.rig.Load(ctx, s.text)
}
