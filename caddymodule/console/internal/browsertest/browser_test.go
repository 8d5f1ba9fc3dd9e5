//go:build examples

package browsertest

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

const (
	chromium = "/usr/bin/chromium"

	// timeout is how long all checks may take.
	timeout = 5 * time.Minute

	// grace is how long the browser may take to end.
	grace = 10 * time.Second
)

// pictures is the folder of the pictures, which Git ignores.
var pictures = filepath.Join("..", "..", "..", "..", "bin", "console")

// A check is what the scripts print about each of their checks.
type check struct {
	Name   string   `json:"name"`
	Error  string   `json:"error"` // "" if the check passed
	Notes  []string `json:"notes"`
	Millis int64    `json:"millis"`
}

// TestBrowser runs the checks in testdata/browser.
func TestBrowser(t *testing.T) {
	if _, err := os.Stat(chromium); err != nil {
		t.Fatalf("%v; install it with: apt-get install -y chromium", err)
	}
	scripts := install(t)
	s := newSite(t)
	folder, err := filepath.Abs(pictures)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.RemoveAll(folder), os.MkdirAll(folder, 0o750)); err != nil {
		t.Fatal(err)
	}
	setting, err := json.Marshal(map[string]any{
		"chromium": chromium, "stage": newStage(t, s), "stranger": newStranger(t), "upstreams": upstreams, "consoles": s.consoles, "pictures": folder, "only": os.Getenv("ONLY"),
		"user": user, "password": password, "planted": planted, "secrets": []string{noteSecret, sonioxSecret, password, hash},
	})
	if err != nil {
		t.Fatal(err)
	}
	checks := run(t, scripts, string(setting))
	if len(checks) == 0 {
		t.Error("the scripts made no check")
	}
	for _, c := range checks {
		t.Run(c.Name, func(t *testing.T) {
			for _, note := range c.Notes {
				t.Log(note)
			}
			t.Logf("%d ms", c.Millis)
			if c.Error != "" {
				t.Error(c.Error)
			}
		})
	}
}

// install copies the scripts and installs the packages that their lock file pins. It returns the
// folder.
func install(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(filepath.Join("testdata", "browser"))); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); errors.Is(err, exec.ErrNotFound) {
		t.Fatal("npm is not installed; install it with: apt-get install -y nodejs npm")
	} else if err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return dir
}

// run runs the scripts, and returns their checks.
func run(t *testing.T, dir, setting string) (checks []check) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), timeout)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", "run.mjs")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SETTING="+setting)
	// The scripts end the browser when they receive SIGTERM.
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = grace
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var c check
		if err := json.Unmarshal(lines.Bytes(), &c); err != nil {
			t.Errorf("the scripts printed %q", lines.Text())
			continue
		}
		checks = append(checks, c)
	}
	if err := errors.Join(lines.Err(), cmd.Wait()); err != nil {
		t.Errorf("the scripts: %v\n%s", errors.Join(err, context.Cause(ctx)), strings.TrimSpace(stderr.String()))
	}
	return checks
}
