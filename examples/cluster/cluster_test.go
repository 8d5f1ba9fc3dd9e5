//go:build examples

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
	"github.com/scribegate/scribegate/forwarder/queue/postgresqueue/pgtest"
)

var binary = filepath.Join("..", "..", "bin", "caddy")

func TestMain(m *testing.M) {
	giveUp = time.Minute // the machine may be overloaded; the log has how long it took
	os.Exit(m.Run())
}

// The example loses nothing, and ends all that it has started.
func TestRun(t *testing.T) {
	var out strings.Builder
	if err := run(t.Context(), []string{"-caddy", binary, "-rate", "100"}, &out); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	t.Logf("\n%s", out.String())
	for _, row := range []string{"is killed", "starts again", "lost               0\n"} {
		if !strings.Contains(out.String(), row) {
			t.Errorf("the output lacks %q", row)
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		if text, err := os.ReadFile(file); err == nil && strings.Contains(string(text), "scribegate-cluster-") {
			t.Errorf("%s still runs: %q", file, text)
		}
	}
}

// A gateway that hangs, and one that cannot reach the database while the others can, cost no
// note: the front sends what such a gateway has not answered to another one.
func TestGatewayThatStoresNothing(t *testing.T) {
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, errors.New("3 minutes are over"))
	defer cancel()
	path, err := stage.Caddy(binary)
	if err != nil {
		t.Fatal(err)
	}
	c, err := start(ctx, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.stop(); err != nil {
			t.Error(err)
		}
	})
	accepted := 0
	play := func(what string) {
		t.Helper()
		l := newLoad(c.url, c.secret)
		l.send(ctx, 50, 2*time.Second)
		t.Logf("%s: %d of %d notes accepted, the slowest after %.2f s", what, l.accepted(), l.sent, l.slowest.Seconds())
		if l.accepted() < l.sent {
			t.Errorf("%s: not accepted: %v", what, l.refused)
		}
		accepted += l.accepted()
	}

	hanging := c.gateways[0]
	if err := syscall.Kill(hanging.PID(), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	play("a gateway hangs")
	if err := syscall.Kill(hanging.PID(), syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}

	if err := c.gateways[1].Stop(); err != nil {
		t.Fatal(err)
	}
	away := filepath.Join(t.TempDir(), "secrets")
	if err := os.CopyFS(away, os.DirFS(filepath.Join(c.dir, "secrets"))); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(away, "dsn"), []byte("postgres://scribegate@127.0.0.1:1/scribegate"), 0o600); err != nil {
		t.Fatal(err)
	}
	c.envs[1] = append([]string{"SCRIBEGATE_SECRETS=" + away}, c.envs[1][1:]...)
	if err := c.restart(ctx, 1); err != nil {
		t.Fatal(err)
	}
	play("a gateway has no database")

	c.inbox.wait(ctx, accepted, patience)
	if n := len(c.inbox.handled); n != accepted {
		t.Errorf("%d events were delivered, want %d", n, accepted)
	}
	signature := regexp.MustCompile(`[0-9a-f]{64}`)
	for i, g := range append(c.gateways, c.front) {
		for _, line := range g.Lines() {
			if strings.Contains(line, c.secret) || strings.Contains(line, "sore throat") || strings.Contains(line, "of%20the%20tests") || signature.MatchString(line) {
				t.Errorf("process %d has logged a secret, a signature or a payload: %s", i, line)
			}
			if strings.Contains(line, `"level":"warn"`) && strings.Contains(line, "unguarded") {
				t.Errorf("process %d warns: %s", i, line)
			}
		}
	}
}

// The script for the database creates a role with the password of its file.
func TestDatabaseScript(t *testing.T) {
	s, err := pgtest.Start(pgtest.Options{TCP: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	const role, secret = "clinic", "it's a password"
	script := strings.ReplaceAll(read(t, "database.sh"), pgtest.Role, role) // which the server has already
	file := filepath.Join(t.TempDir(), "database")
	if err := os.WriteFile(file, []byte(secret), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-c", script)
	cmd.Env = append(os.Environ(), "PGHOST="+s.Dir, fmt.Sprint("PGPORT=", s.Port), "SCRIBEGATE_PASSWORD_FILE="+file)
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	check := exec.CommandContext(t.Context(), "psql", "-h", "127.0.0.1", "-p", fmt.Sprint(s.Port), "-U", role, "-d", role, "-c", "CREATE SCHEMA "+role)
	check.Env = append(os.Environ(), "PGPASSWORD="+secret)
	if out, err := check.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}

// The chapter's commands make secrets that the gateways take.
func TestDocumentedSecrets(t *testing.T) {
	dir := t.TempDir()
	_, block, _ := strings.Cut(read(t, "README.md"), "mkdir -m 700 secrets\n")
	block, _, found := strings.Cut(block, "docker compose up")
	if !found {
		t.Fatal("the chapter has no commands")
	}
	cmd := exec.CommandContext(t.Context(), "sh", "-ec", "editor() { echo synthetic-secret-of-a-test > $1; }; mkdir -m 700 secrets\n"+block)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	path, err := stage.Caddy(binary)
	if err != nil {
		t.Fatal(err)
	}
	validate := exec.CommandContext(t.Context(), path, "validate", "--config", "gateway.caddyfile", "--adapter", "caddyfile")
	validate.Env = append(os.Environ(), "SCRIBEGATE_SECRETS="+filepath.Join(dir, "secrets"))
	if out, err := validate.CombinedOutput(); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	if text := read(t, filepath.Join(dir, ".env")); !strings.HasPrefix(text, "SCRIBEGATE_SIGNING_SECRET=whsec_") {
		t.Errorf(".env has %q", text)
	}
}
