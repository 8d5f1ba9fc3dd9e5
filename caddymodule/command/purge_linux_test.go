package command

import (
	"bytes"
	"encoding/json"
	"net/http"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/admin"
	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
)

// In a terminal a purge prints what it would delete and asks for confirmation. It does not
// ask if input or output is not a terminal.
func TestPurgeAsks(t *testing.T) {
	t.Parallel()
	const asks = "Purge the dead deliveries of 3 events permanently? [y/N] "
	onlyInput := func(s *screen, cmd *exec.Cmd) { cmd.Stdin = s.terminal }
	noInput := func(s *screen, cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = s.terminal, s.terminal }
	errors := func(s *screen, cmd *exec.Cmd) { cmd.Stdin, cmd.Stderr = s.terminal, s.terminal }
	output := func(s *screen, cmd *exec.Cmd) { cmd.Stdin, cmd.Stdout = s.terminal, s.terminal }
	for name, tt := range map[string]struct {
		args   string // --dead, if empty
		none   bool   // whether 0 events are found, and not 3
		typed  string // where a question is asked
		on     func(*screen, *exec.Cmd)
		asks   string
		purges bool
		prints string
	}{
		"yes":                {typed: "yes\n", asks: asks, purges: true, prints: "3 events purged"},
		"y":                  {typed: "y\n", asks: asks, purges: true, prints: "3 events purged"},
		"in capitals":        {typed: " Y \n", asks: asks, purges: true, prints: "3 events purged"},
		"no":                 {typed: "n\n", asks: asks, prints: "Error: not confirmed: nothing was purged"},
		"nothing":            {typed: "\n", asks: asks, prints: "Error: not confirmed: nothing was purged"},
		"something else":     {typed: "yesterday\n", asks: asks, prints: "Error: not confirmed: nothing was purged"},
		"end of input":       {typed: "\x04", asks: asks, prints: "Error: not confirmed: nothing was purged"},
		"answered":           {args: "--dead --yes", purges: true, prints: "3 events purged"},
		"dry run":            {args: "--dead --dry-run", prints: "would purge the dead deliveries of 3 events"},
		"nothing is found":   {none: true, prints: "0 events purged"},
		"by their ids":       {args: "a b c --force", typed: "y\n", asks: "Purge 3 events with every delivery permanently? [y/N] ", purges: true, prints: "3 events purged"},
		"no input":           {on: noInput, purges: true, prints: "3 events purged"},
		"output elsewhere":   {on: errors, typed: "y\n", asks: asks, purges: true, prints: "3 events purged"},
		"errors elsewhere":   {on: output, typed: "n\n", asks: asks, prints: "Error: not confirmed: nothing was purged"},
		"both are elsewhere": {on: onlyInput, purges: true, prints: "3 events purged"},
		"as JSON":            {args: "--dead --json", on: errors, typed: "y\n", asks: asks, purges: true, prints: "{\n  \"purged\": 3\n}"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			found := 3
			if tt.none {
				found = 0
			}
			var purges atomic.Int32
			address := commandtest.FakeServer(t, func(w http.ResponseWriter, r *http.Request) {
				var body admin.PurgeRequest
				if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
					t.Errorf("body: %v", err)
				}
				if !body.DryRun {
					purges.Add(1)
				}
				answer, _ := json.Marshal(admin.Purged{Purged: found})
				commandtest.AnswerJSON(w, http.StatusOK, answer)
			})
			args := tt.args
			if args == "" {
				args = "--dead"
			}
			s := newScreen(t, 100)
			cmd := commandtest.Process(t, append(append([]string{"scribegate", "purge"}, strings.Fields(args)...), "--address", address)...)
			cmd.Env = append(cmd.Env, "TERM=xterm", "NO_COLOR=1")
			var elsewhere bytes.Buffer
			cmd.Stdout, cmd.Stderr = &elsewhere, &elsewhere
			if tt.on == nil {
				cmd.Stdin, cmd.Stdout, cmd.Stderr = s.terminal, s.terminal, s.terminal
			} else {
				tt.on(s, cmd)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			if tt.asks != "" {
				commandtest.WaitUntil(t, "the question", func() bool { return s.shows(tt.asks) })
				if n := purges.Load(); n != 0 {
					t.Errorf("%d purges before the answer", n)
				}
				if _, err := s.keyboard.WriteString(tt.typed); err != nil {
					t.Fatal(err)
				}
			}
			err := cmd.Wait()
			shown := s.text()
			if failed := strings.HasPrefix(tt.prints, "Error:"); (err != nil) != failed || !strings.HasSuffix(strings.TrimSpace(shown+elsewhere.String()), tt.prints) {
				t.Errorf("%v, printed %q and %q", err, shown, elsewhere.String())
			}
			if n := purges.Load(); (n == 1) != tt.purges || n > 1 {
				t.Errorf("purged %d times, want %v", n, tt.purges)
			}
			if strings.Contains(shown, "[y/N]") != (tt.asks != "") {
				t.Errorf("a question in %q", shown)
			}
		})
	}
}
