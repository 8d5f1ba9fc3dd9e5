package commandtest

import (
	"os"
	"os/exec"
	"testing"
	"time"

	caddycmd "github.com/caddyserver/caddy/v2/cmd"
)

// asCaddyEnv is a variable that makes the test binary be Caddy.
const asCaddyEnv = "SCRIBEGATE_TEST_AS_CADDY"

// Main runs the tests with these variables in the environment. In a process that
// Process started, it runs Caddy instead.
func Main(m *testing.M, environment map[string]string) {
	if os.Getenv(asCaddyEnv) != "" {
		caddycmd.Main()
		return
	}
	for name, value := range environment {
		if err := os.Setenv(name, value); err != nil {
			panic(err)
		}
	}
	os.Exit(m.Run())
}

// WaitTimeout is how long WaitUntil waits.
const WaitTimeout = 20 * time.Second

// WaitUntil waits until a condition holds, and fails the test if it does not within
// WaitTimeout.
func WaitUntil(t testing.TB, condition string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(WaitTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("%s: not within %s", condition, WaitTimeout)
}

// Process returns a command that runs this test binary as Caddy. TestMain must call Main.
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
