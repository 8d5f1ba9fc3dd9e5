package main

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func newConsole(t *testing.T) (*console, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	return &console{
		dir: t.TempDir(), out: &out, places: places{{"the-place", "real-place"}},
		env: []string{"PATH=" + os.Getenv("PATH"), "GIVEN=given"},
	}, &out
}

func TestConsole(t *testing.T) {
	t.Parallel()
	c, out := newConsole(t)
	done := false
	err := c.run(t.Context(), "first",
		command{line: "echo the-place $GIVEN | tee file", then: func(context.Context) error { done = true; return nil }},
		command{line: "echo wrong >&2; exit 3", fails: true},
		command{line: "cat > pasted", input: "secret\n"},
		command{line: "cat file pasted"},
	)
	if err != nil || !done {
		t.Fatalf("run() = %v; waited: %v", err, done)
	}
	want := "$ echo the-place $GIVEN | tee file\nthe-place given\n$ echo wrong >&2; exit 3\nwrong\n$ cat > pasted\n$ cat file pasted\nthe-place given\nsecret\n"
	if len(c.blocks) != 1 || c.blocks[0] != (block{"first", want}) {
		t.Errorf("blocks = %q, want %q", c.blocks, want)
	}
	if !strings.Contains(out.String(), "== first\n"+want) {
		t.Errorf("shown is\n%s", out.String())
	}
}

func TestConsoleFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	broken := errors.New("it did not happen")
	tests := map[string]struct {
		command command
		want    string
	}{
		"a command fails":              {command{line: "echo said; exit 3"}, "exit status 3\nsaid"},
		"a command should have failed": {command{line: "echo said", fails: true}, "exit status 0, want an error"},
		"a command that is missing":    {command{line: "no-such-command"}, "exit status 127"},
		"nothing is printed":           {command{line: "true"}, "it printed nothing"},
		"then fails":                   {command{line: "echo said", then: func(context.Context) error { return broken }}, "after echo said: it did not happen"},
		"the shell is killed":          {command{line: "kill -9 $$"}, "signal: killed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := newConsole(t)
			err := c.run(t.Context(), "block", tt.command)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "block: ") {
				t.Errorf("run() = %v, want an error with %q", err, tt.want)
			}
			if len(c.blocks) > 0 {
				t.Errorf("kept %q", c.blocks)
			}
		})
	}
}

func TestConsoleEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c, _ := newConsole(t)
	over := errors.New("the time is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(over)
	if err := c.run(ctx, "block", command{line: "echo said"}); !errors.Is(err, over) {
		t.Errorf("run() = %v, want %v", err, over)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	p := places{{"localhost:2019", "127.0.0.1:15001"}, {"127.0.0.1:9000", "127.0.0.1:15002"}, {"/run/secrets", "/tmp/x/secrets"}}
	if got, want := p.toReal("curl -s localhost:2019/metrics --secret '{file./run/secrets/a}'"), "curl -s 127.0.0.1:15001/metrics --secret '{file./tmp/x/secrets/a}'"; got != want {
		t.Errorf("toReal() = %q, want %q", got, want)
	}
	if got, want := p.toShown("dial tcp 127.0.0.1:15002: connect: connection refused; 127.0.0.1"), "dial tcp 127.0.0.1:9000: connect: connection refused; 127.0.0.1"; got != want {
		t.Errorf("toShown() = %q, want %q", got, want)
	}
}
