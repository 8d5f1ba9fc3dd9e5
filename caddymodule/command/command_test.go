package command

import (
	"bytes"
	"encoding/base64"
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/scribegate/scribegate/caddymodule/internal/commandtest"
	"github.com/scribegate/scribegate/forwarder"
	"github.com/scribegate/scribegate/forwarder/seal"
)

func TestKeygenCommand(t *testing.T) {
	t.Parallel()
	check := func(encryption, signing string) {
		if _, err := seal.ParseKey(encryption); err != nil {
			t.Errorf("encryption key: %v", err)
		}
		if _, err := forwarder.ParseSigningSecret(signing); err != nil {
			t.Errorf("signing secret: %v", err)
		}
		if b, err := base64.StdEncoding.DecodeString(strings.TrimPrefix(signing, "whsec_")); err != nil || len(b) < 24 || len(b) > 64 {
			t.Errorf("signing secret of %d bytes, %v; want 24 to 64", len(b), err)
		}
	}
	plain := strings.Fields(commandtest.Run(t, "", "keygen").Done(t).Out)
	if len(plain) != 4 || plain[0] != "encryption_key" || plain[2] != "signing_secret" {
		t.Fatalf("printed %v", plain)
	}
	check(plain[1], plain[3])
	var again map[string]string
	commandtest.Run(t, "", "keygen", "--json").Done(t).Decode(t, &again)
	check(again["encryption_key"], again["signing_secret"])
	if again["encryption_key"] == plain[1] || again["signing_secret"] == plain[3] {
		t.Error("the same keys twice")
	}
}

// The exit status of the process is 0 only if the command succeeds.
func TestCommandExitStatus(t *testing.T) {
	t.Parallel()
	closed := commandtest.ClosedPort(t)
	tests := []struct {
		name   string
		args   []string
		status int
	}{
		{"done", []string{"keygen"}, 0},
		{"no server", []string{"status", "--address", closed}, 1},
		{"not live", []string{"health", "live", "--address", closed}, 1},
		{"no such command", []string{"exhume"}, 1},
		{"no such flag", []string{"keygen", "--many"}, 1},
		{"missing argument", []string{"show"}, 1},
		{"too many arguments", []string{"keygen", "two"}, 1},
		{"not genuine", []string{"verify", "soapnoteapi", "--secret", "s", "--signature", strings.Repeat("0", 64), "--timestamp", "1773934200", "--file", os.DevNull}, 1},
		{"names nothing to replay", []string{"replay", "--address", closed}, 1},
		{"names nothing to purge", []string{"purge", "--address", closed}, 1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := commandtest.Process(t, append([]string{"scribegate"}, tt.args...)...)
			var errOut bytes.Buffer
			cmd.Stderr = &errOut
			status := 0
			if err := cmd.Run(); err != nil {
				exit, ok := errors.AsType[*exec.ExitError](err)
				if !ok {
					t.Fatal(err)
				}
				status = exit.ExitCode()
			}
			if status != tt.status {
				t.Errorf("exit status %d, want %d: %s", status, tt.status, errOut.String())
			}
			if n := strings.Count(errOut.String(), "Error:"); n > 1 {
				t.Errorf("the error is printed %d times: %s", n, errOut.String())
			}
		})
	}
}
