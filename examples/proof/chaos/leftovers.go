package main

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// The allowed growth after the load: not 0, since a process is never exactly the same twice.
	allowedHandles    = 6
	allowedGoroutines = 6
	allowedMemory     = 24 << 20

	idleLimit = 15 * time.Second // maximum time until the gateway has released what it used
)

// measureIdle waits until the gateway uses no more than before, or until idleLimit, and returns the
// measured footprint.
func (l *reloadRun) measureIdle(ctx context.Context, before footprint) (footprint, error) {
	// A new configuration that has delivered nothing has no connections, and the old ones must close
	// theirs. Load two, since Caddy ignores a configuration that it already has.
	for _, n := range []int{1, 0} {
		if err := l.load(ctx, l.configurations.good(n)); err != nil {
			return footprint{}, err
		}
	}
	time.Sleep(2 * time.Second) // the route keeps its connections for a second
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		// Garbage is not a leak.
		if err := l.collect(ctx); err != nil {
			return footprint{}, err
		}
		f, err := l.footprint(ctx)
		if err != nil || before == (footprint{}) || leftBehind(before, f) == nil || time.Since(began) > idleLimit {
			return f, err
		}
	}
}

// leftBehind returns an error for each resource that has grown more than allowed.
func leftBehind(before, after footprint) error {
	var errs []error
	if n := after.goroutines - before.goroutines; n > allowedGoroutines {
		errs = append(errs, fmt.Errorf("%d goroutines are left", n))
	}
	if n := after.handles - before.handles; n > allowedHandles {
		errs = append(errs, fmt.Errorf("%d handles are left", n))
	}
	if n := after.memory - before.memory; n > allowedMemory {
		errs = append(errs, fmt.Errorf("%s of memory are left", mebibytes(n)))
	}
	return errors.Join(errs...)
}
