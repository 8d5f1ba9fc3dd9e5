package reload

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/gateway"
	"github.com/scribegate/scribegate/examples/proof/chaos/internal/table"
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
func (l *reloadRun) measureIdle(ctx context.Context, before gateway.Footprint) (gateway.Footprint, error) {
	// A new configuration that has delivered nothing has no connections, and the old ones must close
	// theirs. Load two, since Caddy ignores a configuration that it already has.
	for _, n := range []int{1, 0} {
		if err := l.Load(ctx, l.configurations.good(n)); err != nil {
			return gateway.Footprint{}, err
		}
	}
	time.Sleep(2 * time.Second) // the route keeps its connections for a second
	for began := time.Now(); ; time.Sleep(200 * time.Millisecond) {
		// Garbage is not a leak.
		if err := l.Collect(ctx); err != nil {
			return gateway.Footprint{}, err
		}
		f, err := l.Footprint(ctx)
		if err != nil || before == (gateway.Footprint{}) || leftBehind(before, f) == nil || time.Since(began) > idleLimit {
			return f, err
		}
	}
}

// leftBehind returns an error for each resource that has grown more than allowed.
func leftBehind(before, after gateway.Footprint) error {
	var errs []error
	if n := after.Goroutines - before.Goroutines; n > allowedGoroutines {
		errs = append(errs, fmt.Errorf("%d goroutines are left", n))
	}
	if n := after.Handles - before.Handles; n > allowedHandles {
		errs = append(errs, fmt.Errorf("%d handles are left", n))
	}
	if n := after.Memory - before.Memory; n > allowedMemory {
		errs = append(errs, fmt.Errorf("%s of memory are left", table.Mebibytes(n)))
	}
	return errors.Join(errs...)
}
