package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"
)

// A bench is a run: what all measurements share.
type bench struct {
	options
	binary  string
	log     io.Writer
	secrets secrets
	round   int // from 0
}

// say tells how far the run has come.
func (b *bench) say(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

// warmUp is how long load is on before a slice.
func warmUp(slice time.Duration) time.Duration { return max(slice/5, 200*time.Millisecond) }

// short is how long a slice lasts of those that are many.
func (b *bench) short() time.Duration { return max(b.slice/3, 100*time.Millisecond) }

// An outcome is a sample, or why there is none.
type outcome struct {
	sample sample
	err    error
}

// outcomes are those of each measurement, by name, one for each round.
type outcomes map[string][]outcome

// add notes an outcome, and tells of it.
func (b *bench) add(to outcomes, name string, s sample, err error) {
	to[name] = append(to[name], outcome{s, err})
	if err != nil {
		b.say("  %-14s FAILED: %v", name, err)
		return
	}
	b.say("  %-14s %s", name, s)
}

// failures are the errors of all outcomes.
func (o outcomes) failures() error {
	var all []error
	names := make([]string, 0, len(o))
	for name := range o {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		for i, one := range o[name] {
			if one.err != nil {
				all = append(all, fmt.Errorf("%s, round %d: %w", name, i+1, one.err))
			}
		}
	}
	return errors.Join(all...)
}

// rounds runs the measurements that are needed: in each round every one of them
// once, in an order of its own, so that what else the machine does falls on all
// alike.
func (b *bench) runRounds(ctx context.Context, needed map[string]bool) (outcomes, error) {
	all := make(outcomes)
	chosen := slices.DeleteFunc(slices.Clone(measurements), func(m measurement) bool { return !needed[m.name] })
	for b.round = 0; b.round < b.rounds && len(chosen) > 0; b.round++ {
		b.say("round %d of %d", b.round+1, b.rounds)
		shuffle(chosen)
		for _, m := range chosen {
			s, err := m.run(ctx, b)
			if ctx.Err() != nil {
				return all, errors.Join(context.Cause(ctx), err)
			}
			b.add(all, m.name, s, err)
		}
	}
	if err := b.withLarge(ctx, needed, all); err != nil {
		return all, err
	}
	return all, all.failures()
}

// room makes the directory of a run, which is deleted at its end.
func (b *bench) room() (remove func() error, err error) {
	dir, err := os.MkdirTemp(b.dir, "scribegate-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the queues: %w; name another with -dir", err)
	}
	b.dir = dir
	return func() error { return os.RemoveAll(dir) }, nil
}
