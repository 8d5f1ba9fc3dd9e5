//go:build examples

package litestream_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// bounded returns a context with a time limit, so that a test that hangs fails.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, errors.New("3 minutes are over"))
	t.Cleanup(cancel)
	return ctx
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// A litestream is a Litestream process with the documentation's configuration.
type litestream struct {
	binary, config, queue, socket string
	*stage.Process
}

var readmeConfig = regexp.MustCompile("(?s)```yaml\n(dbs:.*?)```")

// newLitestream configures the replication of a queue into the directory dir.
func newLitestream(t *testing.T, queue, dir string) *litestream {
	t.Helper()
	binary := os.Getenv("LITESTREAM")
	if _, err := os.Stat(binary); err != nil {
		t.Fatalf("LITESTREAM does not name Litestream's binary (%v); install it and run this with: make test-examples", err)
	}
	readme, err := os.ReadFile(filepath.Join("..", "..", "caddymodule", "command", "README.md"))
	must(t, err)
	found := readmeConfig.FindStringSubmatch(string(readme))
	if found == nil {
		t.Fatal("the documentation has no configuration for Litestream")
	}
	l := &litestream{binary: binary, queue: queue, config: filepath.Join(dir, "litestream.yml"), socket: filepath.Join(dir, "litestream.sock")}
	config := found[1]
	for _, r := range [][2]string{
		{"/var/lib/scribegate/queue.db", queue}, {"/mnt/backup/scribegate", filepath.Join(dir, "replica")}, {"/run/litestream.sock", l.socket},
	} {
		if !strings.Contains(config, r[0]) {
			t.Fatalf("the documentation's configuration of Litestream does not have %s", r[0])
		}
		config = strings.ReplaceAll(config, r[0], r[1])
	}
	must(t, os.WriteFile(l.config, []byte(config), 0o600))
	return l
}

// start starts the replication and waits until it has synced once.
func (l *litestream) start(ctx context.Context, t *testing.T) {
	t.Helper()
	p, err := stage.Start(stage.Command{Name: "Litestream", Args: []string{l.binary, "replicate", "-config", l.config, "-log-level", "debug"}})
	must(t, err)
	l.Process = p
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	_, err = p.WaitLine(ctx, "the start", func(line string) bool { return strings.Contains(line, "replicating to") })
	must(t, err)
	eventually(ctx, t, "the first replication", func() bool {
		return exec.CommandContext(ctx, l.binary, "sync", "-wait", "-socket", l.socket, l.queue).Run() == nil
	})
}

// run runs a command of Litestream.
func (l *litestream) run(ctx context.Context, t *testing.T, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(ctx, l.binary, args...).CombinedOutput(); err != nil {
		t.Fatalf("litestream %q: %v\n%s", args, err, out)
	}
}

func eventually(ctx context.Context, t *testing.T, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waiting for %s: %v", what, context.Cause(ctx))
		}
	}
}
