package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

func TestRunWithoutABinary(t *testing.T) {
	t.Setenv(stage.CaddyEnv, "")
	var out bytes.Buffer
	err := run(t.Context(), []string{"-caddy", filepath.Join(t.TempDir(), "caddy")}, &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("run() = %v, want an error that says how to build it", err)
	}
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
}

func TestRunAgainstNothing(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "caddy")
	if err := os.WriteFile(binary, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv(stage.CaddyEnv, binary)
	err := run(t.Context(), []string{"-against", binary + "-of-before"}, io.Discard, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-against") || !strings.Contains(err.Error(), "caddy-of-before") {
		t.Errorf("run() = %v, want an error that names the option and the file", err)
	}
}

func TestRunLists(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-list", "-quick"}, &out, io.Discard); err != nil {
		t.Fatal(err)
	}
	lines := options{large: quickLarge}.lines()
	if n := strings.Count(out.String(), "\n"); n != len(lines) || !strings.Contains(out.String(), "drain of 20k waiting") {
		t.Errorf("-list printed\n%s", out.String())
	}
}

// Without PostgreSQL the run fails before it measures anything, and says how to leave it out.
func TestRunWithoutPostgres(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "caddy")
	if err := os.WriteFile(binary, nil, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Setenv(stage.CaddyEnv, binary)
	t.Setenv("POSTGRES_BIN", t.TempDir())
	var out bytes.Buffer
	err := run(t.Context(), []string{"-lines", "postgres-accept"}, &out, io.Discard)
	if err == nil || !strings.Contains(err.Error(), "-without-postgres") || !strings.Contains(err.Error(), "starting PostgreSQL") {
		t.Errorf("run() = %v, want an error that names PostgreSQL and the option", err)
	}
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
}

func TestRunRejects(t *testing.T) {
	t.Parallel()
	if err := run(t.Context(), []string{"-rounds", "0"}, io.Discard, io.Discard); err == nil {
		t.Error("run() = nil")
	}
}
