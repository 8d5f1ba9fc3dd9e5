package commandtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// A Result is what came of a command.
type Result struct {
	Out, ErrOut string
	Err         error
}

// Run runs a subcommand of `caddy scribegate` in this process.
func Run(t *testing.T, stdin string, args ...string) Result {
	t.Helper()
	registered, ok := caddycmd.Commands()["scribegate"]
	if !ok {
		t.Fatal("the command is not registered")
	}
	root := &cobra.Command{Use: "scribegate"}
	registered.CobraFunc(root)
	var out, errOut bytes.Buffer
	root.SetOut(&out)
	root.SetErr(&errOut)
	root.SetIn(strings.NewReader(stdin))
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return Result{out.String(), errOut.String(), err}
}

// done fails the test unless the command did what it was asked for.
func (r Result) Done(t *testing.T) Result {
	t.Helper()
	if r.Err != nil || r.ErrOut != "" {
		t.Fatalf("%v\n%s%s", r.Err, r.Out, r.ErrOut)
	}
	return r
}

// failed fails the test unless the command failed and said this, once.
func (r Result) Failed(t *testing.T, want string) {
	t.Helper()
	if r.Err == nil || strings.Count(r.ErrOut, "Error:") != 1 || !strings.Contains(r.ErrOut, want) {
		t.Errorf("%v, said %q and %q; want one error with %q", r.Err, r.Out, r.ErrOut, want)
	}
}

// decode reads a command's JSON.
func (r Result) Decode(t *testing.T, v any) {
	t.Helper()
	dec := json.NewDecoder(strings.NewReader(r.Out))
	if err := dec.Decode(v); err != nil {
		t.Fatalf("%v in %s", err, r.Out)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		t.Errorf("more than one JSON value in %s", r.Out)
	}
}

// lines reads an export.
func (r Result) Lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(r.Out) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("no line of JSON: %v, %q", err, line)
		}
		all = append(all, e)
	}
	return all
}

// Rows splits a table into its cells.
func Rows(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

// Complete asks cobra, as a shell does, how a command line can go on.
func Complete(t *testing.T, args ...string) (values []string, directive cobra.ShellCompDirective) {
	t.Helper()
	r := Run(t, "", append([]string{"__complete"}, args...)...)
	lines := strings.Split(strings.TrimSpace(r.Out), "\n")
	last := lines[len(lines)-1]
	n, err := strconv.Atoi(strings.TrimPrefix(last, ":"))
	if r.Err != nil || err != nil || strings.Contains(r.ErrOut, "rror") {
		t.Fatalf("%v: %v, %q and %q", args, r.Err, r.Out, r.ErrOut)
	}
	return lines[:len(lines)-1], cobra.ShellCompDirective(n)
}

// Process makes the test binary Caddy itself.
func Process(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self, args...)
	home := t.TempDir()
	cmd.Env = append(os.Environ(), asCaddyEnv+"=1", "HOME="+home, "XDG_DATA_HOME="+home, "XDG_CONFIG_HOME="+home)
	return cmd
}

// ClosedPort is an address where nobody listens.
func ClosedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// FakeServer is an admin API that a test makes up. It returns its address.
func FakeServer(t *testing.T, answer http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(answer)
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

// AnswerJSON answers a request with JSON.
func AnswerJSON(w http.ResponseWriter, status int, body []byte) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_, _ = w.Write(body) // a client that has gone needs no answer
}
