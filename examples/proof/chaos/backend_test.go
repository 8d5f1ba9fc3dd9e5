package main

import (
	"context"
	"os/exec"
	"sync"
	"testing"
)

// A backend comes back at its address also while processes are being started,
// which hold its listener until they execute their programs. They would hold what
// other tests close as well, so that none runs beside this one.
//
//nolint:paralleltest // as it says
func TestBackendComesBack(t *testing.T) {
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
		b.leave()
		if err := b.come(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	b.leave()
}
