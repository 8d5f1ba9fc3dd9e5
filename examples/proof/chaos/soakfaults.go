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

// graveManner has every event die at once.
var graveManner = manner{refuseAll: true, status: http.StatusGone}

// soakOptions keep little of what is delivered, so that expiry has work, and
// give the dead an entrance of their own: a purge of them loses nothing.
var soakOptions = options{
	app:     "dedupe_window 10m\nhistory_retention 1m",
	deliver: []string{"ehr", "audit"},
	site:    "scribegate /grave soapnoteapi {\nsecret {env.SOAPNOTE_SECRET}\ndeliver_to grave\n}",
}

// A fault is done to a gateway under load, and undone where it is the backends'.
type fault struct {
	name string
	do   func(ctx context.Context, s *soaking) error
}

// faults are those that a process outlives.
var faults = []fault{
	{"reload", changeSettings},
	{"bad reload", refuseSettings},
	{"compaction", compactFile},
	{"backup", backUp},
	{"purge", purgeGrave},
	{"upstream away", goAway},
	{"upstream slow", misbehave(manner{delay: 300 * time.Millisecond})},
	{"upstream answers 500", misbehave(manner{refuseAll: true, status: http.StatusInternalServerError})},
	{"upstream answers 429", misbehave(manner{refuseAll: true, status: http.StatusTooManyRequests})},
	{"upstream refuses first", misbehave(manner{refuseFirst: 2})},
}

var (
	kill    = fault{"kill -9", func(ctx context.Context, s *soaking) error { return s.restart(ctx, s.rig.kill) }}
	restart = fault{"restart", func(ctx context.Context, s *soaking) error { return s.restart(ctx, s.rig.stop) }}
)

// restart ends the gateway in a way while some events are on their way, and
// starts it again.
func (s *soaking) restart(ctx context.Context, end func() error) error {
	for _, name := range []string{"ehr", "audit"} {
		b := s.rig.ledger.backend(name)
		b.behave(manner{delay: 200 * time.Millisecond})
		defer b.behave(manner{})
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
	took, err := s.rig.after(ctx, w.first, "the first delivery of an event that waited")
	s.recovery = max(s.recovery, took)
	return err
}

func changeSettings(ctx context.Context, s *soaking) error {
	o := soakOptions
	lines := fmt.Sprintf("concurrency %d\n%s", 4+random(60), usualRetry)
	o.upstream = map[string]string{"ehr": lines, "audit": lines}
	return s.rig.load(ctx, s.rig.caddyfile(o))
}

func refuseSettings(ctx context.Context, s *soaking) error {
	err := s.rig.load(ctx, s.rig.caddyfile(options{app: "no_such_directive"}))
	if !answered(err, http.StatusBadRequest) {
		return fmt.Errorf("a configuration that should be refused: %w", err)
	}
	return nil
}

func compactFile(ctx context.Context, s *soaking) error {
	_, err := s.rig.compact(ctx)
	return err
}

func backUp(ctx context.Context, s *soaking) error {
	file := filepath.Join(s.rig.dir, "backup.db")
	if _, err := s.rig.command(ctx, "backup", file); err != nil {
		return err
	}
	return errors.Join(intact(ctx, file), os.Remove(file))
}

func purgeGrave(ctx context.Context, s *soaking) error {
	_, err := s.rig.purgeDead(ctx)
	return err
}

// goAway takes a backend away for some seconds.
func goAway(ctx context.Context, s *soaking) error {
	b := s.one()
	b.leave()
	err := sleep(ctx, random(5*time.Second))
	if err := b.come(ctx); err != nil {
		return err
	}
	return err
}

// misbehave has a backend behave in a manner for some seconds.
func misbehave(m manner) func(context.Context, *soaking) error {
	return func(ctx context.Context, s *soaking) error {
		b := s.one()
		b.behave(m)
		defer b.behave(manner{})
		return sleep(ctx, random(5*time.Second))
	}
}

// one picks one of the backends whose events must not be lost.
func (s *soaking) one() *backend {
	return s.rig.ledger.backend([]string{"ehr", "audit"}[random(2)])
}

// restore undoes what faults may have left.
func (s *soaking) restore(ctx context.Context) error {
	for _, name := range []string{"ehr", "audit"} {
		s.rig.ledger.backend(name).behave(manner{})
	}
	return s.rig.load(ctx, s.text)
}
