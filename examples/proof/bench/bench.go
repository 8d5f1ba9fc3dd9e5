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
	binaries []string // that are measured
	binary   string   // the one that is measured now
	log      io.Writer
	secrets  secrets
	round    int // from 0
}

// say reports how far the run has come.
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

// add notes an outcome and reports it.
func (b *bench) add(to outcomes, name string, s sample, err error) {
	to[name] = append(to[name], outcome{s, err})
	if len(b.binaries) > 1 && b.binary != b.binaries[0] {
		name += ", against"
	}
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

// runRounds runs the measurements that are needed with each binary: in each round
// every one of them once, in an order of its own, so that what else the machine does
// falls on all alike. The outcomes are those of each binary.
func (b *bench) runRounds(ctx context.Context, needed map[string]bool) ([]outcomes, error) {
	type turn struct {
		measurement
		binary int
	}
	all := make([]outcomes, len(b.binaries))
	var turns []turn
	for i := range b.binaries {
		all[i] = make(outcomes)
		for _, m := range measurements {
			if needed[m.name] {
				turns = append(turns, turn{m, i})
			}
		}
	}
	for b.round = 0; b.round < b.rounds && len(turns) > 0; b.round++ {
		b.say("round %d of %d", b.round+1, b.rounds)
		shuffle(turns)
		for _, t := range turns {
			b.binary = b.binaries[t.binary]
			s, err := t.run(ctx, b)
			if ctx.Err() != nil {
				return all, errors.Join(context.Cause(ctx), err)
			}
			b.add(all[t.binary], t.name, s, err)
		}
	}
	var errs []error
	for i, binary := range b.binaries {
		b.binary = binary
		if err := b.withLarge(ctx, needed, all[i]); err != nil {
			return all, err
		}
		if err := all[i].failures(); err != nil {
			errs = append(errs, b.named(binary, err))
		}
	}
	return all, errors.Join(errs...)
}

// named adds a binary to an error, where there are two.
func (b *bench) named(binary string, err error) error {
	if len(b.binaries) < 2 {
		return err
	}
	return fmt.Errorf("%s: %w", binary, err)
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
