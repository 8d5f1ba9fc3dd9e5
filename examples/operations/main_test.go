package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

func TestRunNamesWhatIsMissing(t *testing.T) {
	t.Setenv(stage.CaddyEnv, "")
	dir := t.TempDir()
	binary := filepath.Join(dir, "caddy")
	var out bytes.Buffer
	if err := run(t.Context(), []string{"-caddy", binary}, &out); err == nil || !strings.Contains(err.Error(), "make build") {
		t.Errorf("run() = %v, want an error that says how to build the gateway", err)
	}
	if err := os.WriteFile(binary, []byte("#!/bin/sh\necho no gateway\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := run(t.Context(), []string{"-caddy", binary, "-monitoring", dir}, &out); err == nil || !strings.Contains(err.Error(), "prometheus.yml") {
		t.Errorf("run() = %v, want an error that names what is missing", err)
	}
	alerts := filepath.Join("..", "monitoring")
	if err := run(t.Context(), []string{"-caddy", binary, "-monitoring", alerts}, &out); err == nil || !strings.Contains(err.Error(), "no gateway") {
		t.Errorf("run() = %v, want the output of the binary", err)
	}
	if out.Len() > 0 {
		t.Errorf("printed %q", out.String())
	}
}
