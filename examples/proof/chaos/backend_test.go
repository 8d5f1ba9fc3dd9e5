package main

import (
	"context"
	"os/exec"
	"sync"
	"testing"
)

// A backend restarts at its address also while other processes start, which have a copy of its listener until they
// execute their programs. They would have copies of other tests' listeners too, so this test is not parallel.
//
//nolint:paralleltest // see above
func TestBackendRestarts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var starting sync.WaitGroup
	for range 4 {
		starting.Go(func() {
			for ctx.Err() == nil {
				_ = exec.CommandContext(ctx, "true").Run()
			}
		})
	}
	defer starting.Wait()
	defer cancel()
	b, err := newLedger().add(t.Context(), "ehr")
	if err != nil {
		t.Fatal(err)
	}
	for range 100 {
		b.stop()
		if err := b.start(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.stop()
}
