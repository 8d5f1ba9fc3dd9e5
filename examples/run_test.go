//go:build examples

package examples_test

import (
	"context"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// A checkout is a folder with everything that run.sh needs.
type checkout struct{ dir string }

func newCheckout(ctx context.Context, t *testing.T) checkout {
	t.Helper()
	c := checkout{t.TempDir()}
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(c.dir, "bin"), 0o700); err != nil {
		t.Fatal(err)
	}
	for link, to := range map[string]string{
		"Caddyfile": filepath.Join(root, "Caddyfile"), "examples": filepath.Join(root, "examples"), "bin/caddy": caddy(t),
	} {
		if err := os.Symlink(to, filepath.Join(c.dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	run(ctx, t, root, "go", "build", "-o", filepath.Join(c.dir, "bin", "preflight"), "./examples/internal/preflight")
	run(ctx, t, root, "go", "build", "-o", filepath.Join(c.dir, "bin", "backend"), "./examples/backends/go")
	return c
}

// start starts run.sh and waits until the gateway serves.
func (c checkout) start(ctx context.Context, t *testing.T, env ...string) *stage.Process {
	t.Helper()
	p, err := stage.Start(stage.Command{
		Name: "run.sh", Dir: c.dir, Args: []string{"sh", "examples/run.sh"},
		Env: append([]string{"HOME=" + c.dir, "PWD=" + c.dir}, env...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	if _, err := p.WaitLine(ctx, "the start", func(line string) bool { return strings.Contains(line, "serving initial configuration") }); err != nil {
		t.Fatal(err)
	}
	return p
}

// sh runs a command line in the checkout, as a user would, and returns its output.
func (c checkout) sh(ctx context.Context, line string, env ...string) (string, error) {
	cmd := exec.CommandContext(ctx, "sh", "-c", line)
	cmd.Dir, cmd.Env = c.dir, append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + c.dir, "PWD=" + c.dir}, env...)
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// suggested matches the command that run.sh prints for a second gateway.
var suggested = regexp.MustCompile(`(?m)^  (.*) make run$`)

// TestRun starts run.sh on free ports and runs the commands that it prints. Then it
// starts a second gateway: with the same ports, which must fail, and with the command
// that the error prints, which must work beside the first.
func TestRun(t *testing.T) {
	ctx, c := bounded(t), newCheckout(bounded(t), t)
	free := ports(ctx, t, 4)
	env := []string{"SCRIBEGATE_SITE=:" + free[0], "CADDY_ADMIN=localhost:" + free[1], "SCRIBEGATE_UPSTREAM=http://127.0.0.1:" + free[2] + "/events", "SCRIBEGATE_CONSOLE=:" + free[3]}
	first := c.start(ctx, t, env...)
	c.typeAll(ctx, t, first)

	// Without SCRIBEGATE_UPSTREAM: the second has no backend of the user.
	out, err := c.sh(ctx, "sh examples/run.sh", env[0], env[1], env[3])
	if err == nil || !strings.Contains(out, "Another program already listens") || strings.Contains(out, "serving initial configuration") {
		t.Fatalf("a second run.sh with the same ports ends with %v and prints\n%s", err, out)
	}
	for _, want := range []string{"127.0.0.1:" + free[0] + "  the site", "Caddy", "127.0.0.1:" + free[3] + "  the console", "localhost:" + free[1] + "  the admin API", "a Scribegate"} {
		if !strings.Contains(out, want) {
			t.Errorf("run.sh does not print %q:\n%s", want, out)
		}
	}
	command := suggested.FindStringSubmatch(out)
	if command == nil {
		t.Fatalf("run.sh prints no command:\n%s", out)
	}
	values, err := c.sh(ctx, "env -i PWD=\"$PWD\" "+command[1]+" env")
	if err != nil {
		t.Fatal(err)
	}
	other := strings.Fields(values)
	if !strings.Contains(values, "SCRIBEGATE_UPSTREAM") { // 9000 was free
		other = append(other, "SCRIBEGATE_UPSTREAM=http://127.0.0.1:"+ports(ctx, t, 1)[0]+"/events")
	}
	c.typeAll(ctx, t, c.start(ctx, t, other...))
}

// typeAll runs the commands and opens the console that run.sh printed, and checks that they reach
// the gateway and the backend that it started.
func (c checkout) typeAll(ctx context.Context, t *testing.T, p *stage.Process) {
	t.Helper()
	typed, opened := 0, 0
	for _, line := range p.Lines() {
		line = strings.TrimSpace(line)
		if console, ok := strings.CutPrefix(line, "Open the console in a browser on this machine: "); ok {
			opened++
			if got := get(ctx, t, console); got != http.StatusOK {
				t.Errorf("the console at %s is answered %d, want 200", console, got)
			}
		}
		if !strings.HasPrefix(line, "bin/caddy scribegate ") {
			continue
		}
		typed++
		out, err := c.sh(ctx, line)
		if err != nil {
			t.Fatalf("%s: %v\n%s", line, err, out)
		}
		id, sent := strings.CutPrefix(strings.TrimSpace(out), "200 OK  ")
		switch {
		case sent:
			if _, err := p.WaitLine(ctx, id, func(line string) bool { return strings.HasPrefix(line, "received ") && strings.Contains(line, id) }); err != nil {
				t.Fatal(err)
			}
		case !strings.Contains(out, "backend"):
			t.Errorf("%s does not print the upstream backend:\n%s", line, out)
		}
	}
	if typed != 4 || opened != 1 {
		t.Errorf("%d commands and %d addresses of the console were printed, want 4 and 1:\n%s", typed, opened, p.Tail(50))
	}
}
