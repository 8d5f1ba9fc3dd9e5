package powercut

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestStraceIsMissing(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	if _, err := Strace(); err == nil || !strings.Contains(err.Error(), "apt-get install strace") {
		t.Errorf("Strace() = %v, want an error that says how to install it", err)
	}
}

// The test runs the wrapper with a program that prints its arguments instead of strace.
func TestWriteWrapper(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	printer, script := filepath.Join(dir, "it's a printer"), filepath.Join(dir, "script")
	if err := os.WriteFile(printer, []byte("#!/bin/sh\nfor a in \"$@\"; do echo \"$a\"; done\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteWrapper(script, printer, "/a program", "/the log"); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(script, "run", "two words").Output()
	if err != nil {
		t.Fatal(err)
	}
	if got := string(out); !strings.HasSuffix(got, "\n-o\n/the log\n--\n/a program\nrun\ntwo words\n") || !strings.Contains(got, "pwrite64,") {
		t.Errorf("the arguments of strace are:\n%s", got)
	}
}

func TestWaitLog(t *testing.T) {
	t.Parallel()
	log := filepath.Join(t.TempDir(), "log")
	for text, ended := range map[string]bool{
		"12  fsync(9) = 0\n12  +++ exited with 0 +++\n":   true,
		"12345 +++ exited with 0 +++\n12 +++ killed by 9": true,
		"123  fsync(9) = 0\n123  +++ exited with 0 +++\n": false,
		"": false,
	} {
		if err := os.WriteFile(log, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeoutCause(t.Context(), 50*time.Millisecond, errors.New("time is over"))
		err := WaitLog(ctx, log, 12)
		cancel()
		if (err == nil) != ended {
			t.Errorf("with %q: WaitLog() = %v", text, err)
		}
	}
}
