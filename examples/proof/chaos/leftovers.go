package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// What may be left behind when the load is over: a little, since a process
	// is never quite the same twice.
	sparedHandles    = 6
	sparedGoroutines = 6
	sparedMemory     = 24 << 20

	restLimit = 15 * time.Second // for what is left behind to go
)

// rest waits until the gateway takes no more than it did before, and measures
// it; the limit is for what is left behind for good.
func (l *reloading) rest(ctx context.Context, before footprint) (footprint, error) {
	// A configuration that has delivered nothing yet keeps no connections; those
	// before it have to let theirs go. Caddy takes no notice of one that it has.
	for _, n := range []int{1, 0} {
		if err := l.load(ctx, l.configurations.good(n)); err != nil {
			return footprint{}, err
		}
	}
	time.Sleep(2 * time.Second) // those of the route are kept for a second
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		// The garbage of before is not what is left behind.
		if err := l.collect(ctx); err != nil {
			return footprint{}, err
		}
		f, err := l.footprint(ctx)
		if err != nil || before == (footprint{}) || left(before, f) == nil || time.Since(began) > restLimit {
			return f, err
		}
	}
}

// left says what was left behind.
func left(before, after footprint) error {
	var errs []error
	if n := after.goroutines - before.goroutines; n > sparedGoroutines {
		errs = append(errs, fmt.Errorf("%d goroutines were left behind", n))
	}
	if n := after.handles - before.handles; n > sparedHandles {
		errs = append(errs, fmt.Errorf("%d handles were left behind", n))
	}
	if n := after.memory - before.memory; n > sparedMemory {
		errs = append(errs, fmt.Errorf("%s of memory were left behind", mebibytes(n)))
	}
	return errors.Join(errs...)
}
