//go:build examples

package examples_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/internal/stage"
)

// python is Debian's Python, for which Flask is a Debian package.
const python = "/usr/bin/python3"

// An arrival is one line that an example backend prints about an event.
type arrival struct {
	word    string // received or duplicate
	event   string // the type, or in the format raw the provider's own name of it
	id      string
	attempt int
}

func parseArrival(line string) (a arrival, ok bool) {
	_, err := fmt.Sscanf(line, "%s %s %s attempt %d", &a.word, &a.event, &a.id, &a.attempt)
	return a, err == nil
}

// A backend is a running example backend.
type backend struct {
	*stage.Process
	url string
}

// arrivals returns the arrivals that the backend has printed so far.
func (b *backend) arrivals() []arrival {
	var all []arrival
	for _, line := range b.Lines() {
		if a, ok := parseArrival(line); ok {
			all = append(all, a)
		}
	}
	return all
}

// wait waits until the backend has printed an arrival with this word and id.
func (b *backend) wait(ctx context.Context, word, id string) error {
	_, err := b.WaitLine(ctx, word+" "+id, func(line string) bool {
		a, ok := parseArrival(line)
		return ok && a.word == word && a.id == id
	})
	return err
}

// A kit has what is needed to run the backend of one folder.
type kit struct {
	args []string
	dir  string
}

// start starts a backend on a free port and waits until it listens.
func (k kit) start(ctx context.Context, t *testing.T, env ...string) *backend {
	t.Helper()
	p, err := k.launch(t, env...)
	if err != nil {
		t.Fatal(err)
	}
	url, err := p.WaitURL(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return &backend{Process: p, url: url}
}

func (k kit) launch(t *testing.T, env ...string) (*stage.Process, error) {
	t.Helper()
	p, err := stage.Start(stage.Command{Name: filepath.Base(k.dir), Dir: k.dir, Args: k.args, Env: append([]string{"PORT=0"}, env...)})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p, nil
}

// prepared are the kits that prepare has returned. A backend is built only once, since
// several tests run it.
var prepared = struct {
	sync.Mutex
	dir  string
	kits map[string]kit
}{kits: make(map[string]kit)}

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "backends")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	prepared.dir = dir
	status := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(status)
}

// prepare returns the kit of a folder below backends. It builds the backend, or
// installs its dependencies.
func prepare(ctx context.Context, t *testing.T, folder string) kit {
	t.Helper()
	prepared.Lock()
	defer prepared.Unlock()
	k, ok := prepared.kits[folder]
	if !ok {
		k = build(ctx, t, filepath.Join("backends", folder), filepath.Join(prepared.dir, folder))
		prepared.kits[folder] = k
	}
	return k
}

// build builds the backend of a folder into the directory dir. The folder's name begins
// with the name of the framework.
func build(ctx context.Context, t *testing.T, source, dir string) kit {
	t.Helper()
	switch framework, _, _ := strings.Cut(filepath.Base(source), "-"); framework {
	case "go":
		binary := filepath.Join(dir, "backend")
		run(ctx, t, ".", "go", "build", "-o", binary, "./"+source)
		return kit{dir: dir, args: []string{binary, "-listen", "127.0.0.1:0"}}
	case "express":
		need(t, "node", "apt-get install -y nodejs npm")
		need(t, "npm", "apt-get install -y nodejs npm")
		if err := os.CopyFS(dir, os.DirFS(source)); err != nil {
			t.Fatal(err)
		}
		run(ctx, t, dir, "npm", "install", "--no-package-lock", "--no-audit", "--no-fund")
		return kit{dir: dir, args: []string{"node", "server.mjs"}}
	case "flask", "fastapi":
		needPython(ctx, t, framework)
		dir, err := filepath.Abs(source)
		if err != nil {
			t.Fatal(err)
		}
		return kit{dir: dir, args: []string{python, "-B", "app.py"}}
	default:
		t.Fatalf("this test does not know how to run %s", source)
		return kit{}
	}
}

// need fails the test if a program is missing, with the command that installs it.
func need(t *testing.T, program, install string) {
	t.Helper()
	if _, err := exec.LookPath(program); err != nil {
		t.Fatalf("%s is not installed; install it with: %s", program, install)
	}
}

// needPython fails the test if a Python framework is missing.
func needPython(ctx context.Context, t *testing.T, framework string) {
	t.Helper()
	modules, packages := "flask", "python3-flask"
	if framework == "fastapi" {
		modules, packages = "fastapi, uvicorn, sqlalchemy, psycopg2", "python3-fastapi uvicorn python3-sqlalchemy python3-psycopg2"
	}
	need(t, python, "apt-get install -y "+packages)
	if out, err := exec.CommandContext(ctx, python, "-c", "import "+modules).CombinedOutput(); err != nil {
		t.Fatalf("%s is not installed (%v); install it with: apt-get install -y %s\n%s", modules, err, packages, out)
	}
}

// run runs a command and returns its output.
func run(ctx context.Context, t *testing.T, dir string, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(ctx, args[0], args[1:]...)
	cmd.Dir = dir
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, stderr.String())
	}
	return out
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// bounded returns a context with a time limit, so that a test that hangs fails.
func bounded(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 3*time.Minute, errors.New("three minutes are over"))
	t.Cleanup(cancel)
	return ctx
}

// caddy returns the path of the gateway's binary.
func caddy(t *testing.T) string {
	t.Helper()
	binary, err := stage.Caddy(filepath.Join("..", "bin", "caddy"))
	if err != nil {
		t.Fatal(err)
	}
	return binary
}

// ports returns n free loopback ports.
func ports(ctx context.Context, t *testing.T, n int) []string {
	t.Helper()
	free, err := stage.Ports(ctx, n)
	if err != nil {
		t.Fatal(err)
	}
	return free
}

// startGateway starts the gateway with a configuration file and a free address for
// its admin endpoint.
func startGateway(ctx context.Context, t *testing.T, config string, env ...string) *stage.Gateway {
	t.Helper()
	config, err := filepath.Abs(config)
	if err != nil {
		t.Fatal(err)
	}
	admin := "127.0.0.1:" + ports(ctx, t, 1)[0]
	g, err := stage.StartGateway(ctx, caddy(t), config, t.TempDir(), "http://"+admin, append(env, "CADDY_ADMIN="+admin)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.Stop(); err != nil {
			t.Error(err)
		}
	})
	return g
}
