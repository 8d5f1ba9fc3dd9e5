package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestEachQueueFile(t *testing.T) {
	t.Parallel()
	g := &gateway{dir: t.TempDir()}
	var got []string
	note := func(file string) error {
		got = append(got, filepath.Base(file))
		return nil
	}
	if err := g.eachQueueFile(note); err == nil || len(got) > 0 {
		t.Errorf("eachQueueFile() = %v after %v, want an error without a queue", err, got)
	}
	queue := filepath.Join(dataDir, queueFile)
	if err := os.MkdirAll(filepath.Join(g.dir, filepath.Dir(queue)), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{queue, queue + "-wal", logFile, "Caddyfile"} {
		if err := os.WriteFile(filepath.Join(g.dir, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.eachQueueFile(note); err != nil || strings.Join(got, " ") != "queue.db queue.db-wal" {
		t.Errorf("eachQueueFile() = %v after %v", err, got)
	}
	if err := g.eachQueueFile(func(string) error { return errTest }); !errors.Is(err, errTest) {
		t.Errorf("eachQueueFile() = %v", err)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	g := &gateway{dir: t.TempDir()}
	if err := os.WriteFile(filepath.Join(g.dir, logFile), []byte(strings.Repeat("early\n", 50)+"late\nlast\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := g.tail(); !strings.HasSuffix(got, "\tlate\n\tlast") || strings.Count(got, "early") > 10 {
		t.Errorf("tail() = %q", got)
	}
}

// A gateway that does not run can be closed, and leaves nothing behind.
func TestCloseInto(t *testing.T) {
	t.Parallel()
	g := &gateway{dir: filepath.Join(t.TempDir(), "gateway")}
	if err := os.Mkdir(g.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := errTest
	g.closeInto(&err)
	if _, there := os.Stat(g.dir); !errors.Is(err, errTest) || there == nil {
		t.Errorf("closeInto() made it %v; the directory: %v", err, there)
	}
}

func TestGatewaySaysWhyItDidNotStart(t *testing.T) {
	t.Parallel()
	b := &bench{options: options{dir: t.TempDir()}, binary: "/bin/false", secrets: newSecrets()}
	g, err := b.newGateway(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.start(t.Context(), bare(), nil); err == nil || !strings.Contains(err.Error(), "it ended") {
		t.Errorf("start() = %v, want an error that says that it ended", err)
	}
	if text, err := os.ReadFile(filepath.Join(g.dir, "Caddyfile")); err != nil || !strings.Contains(string(text), g.site) {
		t.Errorf("the Caddyfile is %q, %v", text, err)
	}
	if err := g.stop(); err != nil {
		t.Error(err)
	}
}
