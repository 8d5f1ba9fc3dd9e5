package gateway

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/proof/chaos/internal/await"
)

// roleEnv makes this test's binary play one of the roles instead of running tests.
const roleEnv = "CHAOS_ROLE"

var roles = map[string]func(){
	"wait":  func() { fmt.Println("waiting"); time.Sleep(time.Minute) },
	"panic": func() { fmt.Println("panic: of this test"); time.Sleep(time.Minute) },
	"end":   func() { fmt.Println("the reason why"); os.Exit(3) },
}

func TestMain(m *testing.M) {
	if role, ok := roles[os.Getenv(roleEnv)]; ok {
		role()
		return
	}
	os.Exit(m.Run())
}

func startRole(t *testing.T, role string) *Process {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	p, err := startProcess(self, dir, filepath.Join(dir, "log"), []string{roleEnv + "=" + role})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.kill() })
	return p
}

// printed waits until the process has printed a line.
func printed(t *testing.T, p *Process) {
	t.Helper()
	err := await.Eventually(t.Context(), "a line", func() (bool, error) {
		log, err := os.ReadFile(p.Log)
		return len(log) > 0, err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestProcessEnds(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*Process) error{"killed": (*Process).kill, "stopped": (*Process).stop} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := startRole(t, "wait")
			printed(t, p)
			for range 2 { // the second time it has already ended
				if err := end(p); err != nil {
					t.Fatal(err)
				}
			}
			if p.Tail(5) != "\twaiting" {
				t.Errorf("tail() = %q", p.Tail(5))
			}
		})
	}
}

func TestPanicIsReported(t *testing.T) {
	t.Parallel()
	p := startRole(t, "panic")
	printed(t, p)
	if err := p.kill(); err == nil || !strings.Contains(err.Error(), "panic: of this test") {
		t.Errorf("kill() = %v, want its output", err)
	}
}

func TestUnexpectedEndIsReported(t *testing.T) {
	t.Parallel()
	p := startRole(t, "end")
	<-p.Ended
	err := p.kill()
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "the reason why") {
		t.Errorf("kill() = %v, want its exit status and its output", err)
	}
}
