package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/postgres"
)

// A bench is a run of the benchmark.
type bench struct {
	options
	binaries []string // all that are measured
	binary   string   // that is measured now
	log      io.Writer
	secrets  gateway.Secrets
	round    int              // from 0
	server   *postgres.Server // nil if no line needs it
}

// logf logs the progress of the run.
func (b *bench) logf(format string, args ...any) { fmt.Fprintf(b.log, format+"\n", args...) }

// warmUp returns the duration of the load before a slice.
func warmUp(slice time.Duration) time.Duration { return max(slice/5, 200*time.Millisecond) }

// short returns the duration of a slice of the grid and the growth, which have many slices.
func (b *bench) short() time.Duration { return max(b.slice/3, 100*time.Millisecond) }

// add adds and logs an outcome.
func (b *bench) add(to figures.Outcomes, name string, s figures.Sample, err error) {
	to[name] = append(to[name], figures.Outcome{Sample: s, Err: err})
	if len(b.binaries) > 1 && b.binary != b.binaries[0] {
		name += ", against"
	}
	if err != nil {
		b.logf("  %-14s FAILED: %v", name, err)
		return
	}
	b.logf("  %-14s %s", name, s)
}

// runRounds runs the needed measurements with each binary, and returns the outcomes for each
// binary. Each round runs all of them in a new random order, so that other work on the machine
// affects all alike.
func (b *bench) runRounds(ctx context.Context, needed map[string]bool) ([]figures.Outcomes, error) {
	type turn struct {
		measurement
		binary int
	}
	all := make([]figures.Outcomes, len(b.binaries))
	var turns []turn
	for i := range b.binaries {
		all[i] = make(figures.Outcomes)
		for _, m := range measurements {
			if needed[m.name] {
				turns = append(turns, turn{m, i})
			}
		}
	}
	for b.round = 0; b.round < b.rounds && len(turns) > 0; b.round++ {
		b.logf("round %d of %d", b.round+1, b.rounds)
		figures.Shuffle(turns)
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
		if err := all[i].Failures(); err != nil {
			errs = append(errs, b.named(binary, err))
		}
	}
	return all, errors.Join(errs...)
}

// named adds the binary to an error, if there are two.
func (b *bench) named(binary string, err error) error {
	if len(b.binaries) < 2 {
		return err
	}
	return fmt.Errorf("%s: %w", binary, err)
}

// makeDir makes the directory of the run. remove deletes it.
func (b *bench) makeDir() (remove func() error, err error) {
	dir, err := os.MkdirTemp(b.dir, "scribegate-bench-")
	if err != nil {
		return nil, fmt.Errorf("making a directory for the queues: %w; set another one with -dir", err)
	}
	// PostgreSQL runs as another user if this one is root.
	if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // what is in it is of this user only
		return nil, fmt.Errorf("making a directory for the queues: %w", err)
	}
	b.dir = dir
	return func() error { return os.RemoveAll(dir) }, nil
}

// newGateway returns a gateway of the measured binary that is not started yet.
func (b *bench) newGateway(ctx context.Context) (*gateway.Gateway, error) {
	return gateway.New(ctx, b.dir, b.binary, b.secrets)
}
