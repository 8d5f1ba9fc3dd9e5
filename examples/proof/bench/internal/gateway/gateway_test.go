package gateway

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var errTest = errors.New("it broke")

func TestEachQueueFile(t *testing.T) {
	t.Parallel()
	g := &Gateway{dir: t.TempDir()}
	var got []string
	note := func(file string) error {
		got = append(got, filepath.Base(file))
		return nil
	}
	if err := g.EachQueueFile(note); err == nil || len(got) > 0 {
		t.Errorf("EachQueueFile() = %v after %v, want an error without a queue", err, got)
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
	if err := g.EachQueueFile(note); err != nil || strings.Join(got, " ") != "queue.db queue.db-wal" {
		t.Errorf("EachQueueFile() = %v after %v", err, got)
	}
	if err := g.EachQueueFile(func(string) error { return errTest }); !errors.Is(err, errTest) {
		t.Errorf("EachQueueFile() = %v", err)
	}
}

func TestTail(t *testing.T) {
	t.Parallel()
	g := &Gateway{dir: t.TempDir()}
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
	g := &Gateway{dir: filepath.Join(t.TempDir(), "gateway")}
	if err := os.Mkdir(g.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	err := errTest
	g.CloseInto(&err)
	if _, there := os.Stat(g.dir); !errors.Is(err, errTest) || there == nil {
		t.Errorf("CloseInto() made it %v; the directory: %v", err, there)
	}
}

func TestGatewaySaysWhyItDidNotStart(t *testing.T) {
	t.Parallel()
	g, err := New(t.Context(), t.TempDir(), "/bin/false", NewSecrets())
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Start(t.Context(), Bare(), nil); err == nil || !strings.Contains(err.Error(), "it ended") {
		t.Errorf("Start() = %v, want an error that says that it ended", err)
	}
	if text, err := os.ReadFile(filepath.Join(g.dir, "Caddyfile")); err != nil || !strings.Contains(string(text), g.Site) {
		t.Errorf("the Caddyfile is %q, %v", text, err)
	}
	if err := g.Stop(); err != nil {
		t.Error(err)
	}
}
