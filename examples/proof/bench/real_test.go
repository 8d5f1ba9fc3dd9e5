//go:build examples

package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/examples/proof/bench/internal/figures"
)

// TestQuick runs the whole table with -quick and the real binary. The run itself checks all counts.
// The test does not check any speed.
func TestQuick(t *testing.T) {
	binary, err := stage.Caddy(filepath.Join("..", "..", "..", "bin", "caddy"))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeoutCause(t.Context(), 5*time.Minute, errors.New("5 minutes are over"))
	defer cancel()
	dir := openDir(t)
	markdown, svg := filepath.Join(dir, "bench.md"), filepath.Join(dir, "bench.svg")
	var out bytes.Buffer
	err = run(ctx, []string{"-caddy", binary, "-quick", "-large", "4000", "-dir", dir, "-markdown", markdown, "-svg", svg}, &out, testLog{t})
	if err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	written, err := os.ReadFile(markdown)
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(string(written), "\n")
	for _, l := range (options{large: 4000}).lines() {
		found := false
		for _, row := range rows {
			if strings.HasPrefix(row, "| "+l.Text+" | ") {
				found = true
				if strings.Contains(row, string(figures.NotMeasured)) || strings.Contains(row, "| - | - | - |") {
					t.Errorf("a row has no figures: %s", row)
				}
			}
		}
		if !found {
			t.Errorf("the table has no line %q", l.Text)
		}
	}
	if !strings.Contains(string(written), "write-ahead log per event") {
		t.Error("the table of PostgreSQL is missing")
	}
	if drawn, err := os.ReadFile(svg); err != nil || !strings.Contains(string(drawn), "reject forged requests") {
		t.Errorf("the plot is incomplete: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "scribegate-bench-*")); err != nil || len(left) > 0 {
		t.Errorf("%v is left in the directory, %v", left, err)
	}
}

// openDir returns a directory that other users can enter too: PostgreSQL does not run as root.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bench")
	if err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// testLog writes a run's progress into the test's log.
type testLog struct{ t *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}
