//go:build examples

package monitoring_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// bounded returns a context with a time limit, so that a test that hangs fails.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 4*time.Minute, errors.New("4 minutes are over"))
	t.Cleanup(cancel)
	return ctx
}

// need fails the test if a program of Debian's package prometheus is missing.
func need(t *testing.T, program string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is not installed; install it with: apt-get install prometheus", program)
	}
}

// caddy returns the path of the gateway's binary.
func caddy(t *testing.T) string {
	t.Helper()
	binary, err := stage.Caddy(filepath.Join("..", "..", "bin", "caddy"))
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// run runs a program and returns its output.
func run(ctx context.Context, t *testing.T, program string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(program), args, err, out)
	}
	return string(out)
}

func read(t *testing.T, file string) string {
	t.Helper()
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

func write(t *testing.T, file, content string) string {
	t.Helper()
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// eventually waits until cond returns "". After a minute it fails the test with what
// cond has returned last.
func eventually(ctx context.Context, t *testing.T, what string, cond func() (missing string)) {
	t.Helper()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(time.Minute); ; {
		missing := cond()
		if missing == "" {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("waiting for %s: a minute is over; %s", what, missing)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v; %s", what, context.Cause(ctx), missing)
		}
	}
}
