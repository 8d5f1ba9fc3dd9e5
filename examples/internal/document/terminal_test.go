package document

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"testing"
)

func newTerminal(t *testing.T) (*Terminal, *bytes.Buffer) {
	t.Helper()
	var out bytes.Buffer
	return &Terminal{
		Dir: t.TempDir(), Out: &out, Places: Places{{"the-place", "real-place"}},
		Env: []string{"PATH=" + os.Getenv("PATH"), "GIVEN=given"},
	}, &out
}

func TestTerminal(t *testing.T) {
	t.Parallel()
	c, out := newTerminal(t)
	done := false
	err := c.Run(t.Context(), "first",
		Command{Line: "echo the-place $GIVEN | tee file", Then: func(context.Context) error { done = true; return nil }},
		Command{Line: "echo wrong >&2; exit 3", Fails: true},
		Command{Line: "cat > pasted", Input: "secret\n"},
		Command{Line: "cat file pasted"},
	)
	if err != nil || !done {
		t.Fatalf("Run() = %v; waited: %v", err, done)
	}
	want := "$ echo the-place $GIVEN | tee file\nthe-place given\n$ echo wrong >&2; exit 3\nwrong\n$ cat > pasted\n$ cat file pasted\nthe-place given\nsecret\n"
	if len(c.Blocks) != 1 || c.Blocks[0] != (Block{"first", want}) {
		t.Errorf("blocks = %q, want %q", c.Blocks, want)
	}
	if !strings.Contains(out.String(), "== first\n"+want) {
		t.Errorf("shown is\n%s", out.String())
	}
}

func TestTerminalFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	broken := errors.New("it did not happen")
	tests := map[string]struct {
		command Command
		want    string
	}{
		"a command fails":              {Command{Line: "echo said; exit 3"}, "exit status 3\nsaid"},
		"a command should have failed": {Command{Line: "echo said", Fails: true}, "exit status 0, want an error"},
		"a command that is missing":    {Command{Line: "no-such-command"}, "exit status 127"},
		"nothing is printed":           {Command{Line: "true"}, "it printed nothing"},
		"then fails":                   {Command{Line: "echo said", Then: func(context.Context) error { return broken }}, "after echo said: it did not happen"},
		"the shell is killed":          {Command{Line: "kill -9 $$"}, "signal: killed"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c, _ := newTerminal(t)
			err := c.Run(t.Context(), "block", tt.command)
			if err == nil || !strings.Contains(err.Error(), tt.want) || !strings.HasPrefix(err.Error(), "block: ") {
				t.Errorf("Run() = %v, want an error with %q", err, tt.want)
			}
			if len(c.Blocks) > 0 {
				t.Errorf("kept %q", c.Blocks)
			}
		})
	}
}

func TestTerminalEndsWithItsContext(t *testing.T) {
	t.Parallel()
	c, _ := newTerminal(t)
	over := errors.New("the time is over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(over)
	if err := c.Run(ctx, "block", Command{Line: "echo said"}); !errors.Is(err, over) {
		t.Errorf("Run() = %v, want %v", err, over)
	}
}

func TestPlaces(t *testing.T) {
	t.Parallel()
	p := Places{{"localhost:2019", "127.0.0.1:15001"}, {"127.0.0.1:9000", "127.0.0.1:15002"}, {"/run/secrets", "/tmp/x/secrets"}}
	if got, want := p.Real("curl -s localhost:2019/metrics --secret '{file./run/secrets/a}'"), "curl -s 127.0.0.1:15001/metrics --secret '{file./tmp/x/secrets/a}'"; got != want {
		t.Errorf("Real() = %q, want %q", got, want)
	}
	if got, want := p.Shown("dial tcp 127.0.0.1:15002: connect: connection refused; 127.0.0.1"), "dial tcp 127.0.0.1:9000: connect: connection refused; 127.0.0.1"; got != want {
		t.Errorf("Shown() = %q, want %q", got, want)
	}
}
