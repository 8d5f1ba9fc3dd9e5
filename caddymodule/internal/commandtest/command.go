// Package commandtest runs `caddy scribegate` in tests: in the process of the test, or in a
// process of its own, against a gateway or against an admin API that the test makes up.
//
// It does not import package command. The package that it tests imports that.
package commandtest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
	"github.com/spf13/cobra"
)

// A Result is the output and the error of a command.
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

// Done fails the test if the command returned or printed an error.
func (r Result) Done(t *testing.T) Result {
	t.Helper()
	if r.Err != nil || r.ErrOut != "" {
		t.Fatalf("%v\n%s%s", r.Err, r.Out, r.ErrOut)
	}
	return r
}

// Failed fails the test unless the command returned an error, and printed one error that
// contains want.
func (r Result) Failed(t *testing.T, want string) {
	t.Helper()
	if r.Err == nil || strings.Count(r.ErrOut, "Error:") != 1 || !strings.Contains(r.ErrOut, want) {
		t.Errorf("%v, printed %q and %q; want one error with %q", r.Err, r.Out, r.ErrOut, want)
	}
}

// Decode decodes the output, which must be one JSON value.
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

// Lines decodes the output, which must be lines of JSON.
func (r Result) Lines(t *testing.T) (all []map[string]any) {
	t.Helper()
	for line := range strings.Lines(r.Out) {
		var e map[string]any
		if err := json.Unmarshal([]byte(line), &e); err != nil || !strings.HasSuffix(line, "\n") {
			t.Fatalf("the line is not JSON: %v, %q", err, line)
		}
		all = append(all, e)
	}
	return all
}

// Rows returns the words of each line of a table.
func Rows(text string) [][]string {
	var rows [][]string
	for line := range strings.Lines(text) {
		rows = append(rows, strings.Fields(line))
	}
	return rows
}

// Complete returns the completions of a command line, as a shell requests them.
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

// ClosedPort returns an address at which no process listens until the test ends. It is the local
// address of a connection, so that no other server gets the port.
func ClosedPort(t *testing.T) string {
	t.Helper()
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	conn, err := new(net.Dialer).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn.LocalAddr().String()
}

// FakeServer starts a server that answers in place of the admin API, and returns its
// address.
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
