package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// alwaysGone makes every event dead at once.
var alwaysGone = behavior{rejectAll: true, status: http.StatusGone}

// soakOptions have short retention times, so that events expire during the run, and a separate handler for events
// that become dead, so that a purge of dead events loses nothing.
var soakOptions = options{
	app:     "dedupe_window 10m\nhistory_retention 1m",
	deliver: []string{"ehr", "audit"},
	site:    "scribegate /grave soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\ndeliver_to grave\n}",
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
	{"upstream slow", misbehave(behavior{delay: 300 * time.Millisecond})},
	{"upstream answers 500", misbehave(behavior{rejectAll: true, status: http.StatusInternalServerError})},
	{"upstream answers 429", misbehave(behavior{rejectAll: true, status: http.StatusTooManyRequests})},
	{"upstream refuses first", misbehave(behavior{rejectFirst: 2})},
}

var (
	kill    = fault{"kill -9", func(ctx context.Context, s *soakRun) error { return s.restart(ctx, s.rig.kill) }}
	restart = fault{"restart", func(ctx context.Context, s *soakRun) error { return s.restart(ctx, s.rig.stop) }}
)

// restart ends the gateway with end while some deliveries are in progress, and starts it again.
func (s *soakRun) restart(ctx context.Context, end func() error) error {
	for _, name := range []string{"ehr", "audit"} {
		b := s.rig.ledger.backend(name)
		b.behave(behavior{delay: 200 * time.Millisecond})
		defer b.behave(behavior{})
	}
	if err := sleep(ctx, 300*time.Millisecond); err != nil {
		return err
	}
	if err := end(); err != nil {
		return err
	}
	w := s.rig.ledger.watch(s.book)
	defer w.end()
	if err := s.rig.start(ctx, s.text); err != nil {
		return err
	}
	if w.number == 0 {
		return nil
	}
	took, err := s.rig.after(ctx, w.first, "the first delivery of a waiting event")
	s.recovery = max(s.recovery, took)
	return err
}

func changeSettings(ctx context.Context, s *soakRun) error {
	o := soakOptions
	lines := fmt.Sprintf("concurrency %d\n%s", 4+random(60), usualRetry)
	o.upstream = map[string]string{"ehr": lines, "audit": lines}
	return s.rig.load(ctx, s.rig.caddyfile(o))
}

func rejectSettings(ctx context.Context, s *soakRun) error {
	err := s.rig.load(ctx, s.rig.caddyfile(options{app: "no_such_directive"}))
	if !answered(err, http.StatusBadRequest) {
		return fmt.Errorf("loading an invalid configuration: %w", err)
	}
	return nil
}

func compactFile(ctx context.Context, s *soakRun) error {
	_, err := s.rig.compact(ctx)
	return err
}

func backUp(ctx context.Context, s *soakRun) error {
	file := filepath.Join(s.rig.dir, "backup.db")
	if _, err := s.rig.command(ctx, "backup", file); err != nil {
		return err
	}
	return errors.Join(intact(ctx, file), os.Remove(file))
}

func purgeGrave(ctx context.Context, s *soakRun) error {
	_, err := s.rig.purgeDead(ctx)
	return err
}

// goAway stops a backend for some seconds.
func goAway(ctx context.Context, s *soakRun) error {
	b := s.one()
	b.stop()
	err := sleep(ctx, random(5*time.Second))
	if err := b.start(ctx); err != nil {
		return err
	}
	return err
}

// misbehave returns a fault that changes a backend's behavior for some seconds.
func misbehave(m behavior) func(context.Context, *soakRun) error {
	return func(ctx context.Context, s *soakRun) error {
		b := s.one()
		b.behave(m)
		defer b.behave(behavior{})
		return sleep(ctx, random(5*time.Second))
	}
}

// one returns a random backend whose events must not be lost.
func (s *soakRun) one() *backend {
	return s.rig.ledger.backend([]string{"ehr", "audit"}[random(2)])
}

// restore resets the backends and the configuration.
func (s *soakRun) restore(ctx context.Context) error {
	for _, name := range []string{"ehr", "audit"} {
		s.rig.ledger.backend(name).behave(behavior{})
	}
	return s.rig.load(ctx, s.text)
}
