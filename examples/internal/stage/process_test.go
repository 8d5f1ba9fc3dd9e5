package stage

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// roleEnv makes this test's binary play one of the roles instead of running tests.
const roleEnv = "STAGE_ROLE"

var roles = map[string]func(){
	"listen": func() {
		stop := make(chan os.Signal, 1)
		signal.Notify(stop, syscall.SIGTERM)
		fmt.Println("listening on http://127.0.0.1:1")
		<-stop
		fmt.Println("stopped")
	},
	"fail": func() {
		fmt.Fprintln(os.Stderr, "the reason why")
		os.Exit(3)
	},
	"echo": func() {
		for lines := bufio.NewScanner(strings.NewReader("one\ntwo\n\nthree")); lines.Scan(); {
			fmt.Println(lines.Text())
		}
		fmt.Print(os.Getenv("HOME"), os.Getenv("GIVEN"))
	},
	"wait": func() {
		fmt.Println("waiting")
		select {}
	},
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
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	p, err := Start(Command{Name: role, Args: []string{binary}, Env: []string{roleEnv + "=" + role, "GIVEN=given"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Stop(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func TestProcessIsStoppedByItsID(t *testing.T) {
	t.Parallel()
	p := startRole(t, "listen")
	url, err := p.WaitURL(t.Context())
	if err != nil || url != "http://127.0.0.1:1" {
		t.Fatalf("WaitURL() = %q, %v", url, err)
	}
	if info, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID())); err == nil && filepath.Base(info) != filepath.Base(os.Args[0]) {
		t.Errorf("PID() is that of %s", info)
	}
	select {
	case <-p.Ended():
		t.Error("it has ended before it was stopped")
	default:
	}
	for range 2 { // the second time it has already ended
		if err := p.Stop(); err != nil {
			t.Fatal(err)
		}
	}
	<-p.Ended()
	if lines := p.Lines(); len(lines) != 2 || lines[1] != "stopped" {
		t.Errorf("it printed %q, want stopped as the second line", lines)
	}
}

func TestProcessLines(t *testing.T) {
	t.Parallel()
	p := startRole(t, "echo")
	if _, err := p.WaitLine(t.Context(), "the last line", func(line string) bool { return line == "given" }); err != nil {
		t.Error(err)
	}
	if _, err := p.WaitLine(t.Context(), "an earlier line", func(line string) bool { return line == "two" }); err != nil {
		t.Error(err)
	}
	if got := strings.Join(p.Lines(), "|"); got != "one|two|three|given" {
		t.Errorf("Lines() = %q: want no empty lines, and no inherited variable but PATH", got)
	}
	if got := p.Tail(2); got != "\tthree\n\tgiven" {
		t.Errorf("Tail(2) = %q", got)
	}
}

func TestWaitLineSaysWhyThereIsNone(t *testing.T) {
	t.Parallel()
	never := func(string) bool { return false }
	t.Run("it ended", func(t *testing.T) {
		t.Parallel()
		_, err := startRole(t, "fail").WaitLine(t.Context(), "a word", never)
		if err == nil || !strings.Contains(err.Error(), "the reason why") || !strings.Contains(err.Error(), "exit status 3") {
			t.Errorf("WaitLine() = %v, want its output and its exit status", err)
		}
	})
	t.Run("the time is over", func(t *testing.T) {
		t.Parallel()
		p := startRole(t, "wait")
		ctx, cancel := context.WithCancelCause(t.Context())
		over := errors.New("the time is over")
		_, err := p.WaitLine(ctx, "a word", func(string) bool { cancel(over); return false })
		if !errors.Is(err, over) {
			t.Errorf("WaitLine() = %v, want %v", err, over)
		}
	})
}

func TestStartNamesWhatIsMissing(t *testing.T) {
	t.Parallel()
	_, err := Start(Command{Name: "the backend", Args: []string{"./no-such-program"}})
	if err == nil || !strings.Contains(err.Error(), "starting the backend") {
		t.Errorf("Start() = %v", err)
	}
}

func TestPortsAreFreeAndDifferent(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 100 { // of 2,000 random ports among 15,000, some would be equal
		ports, err := Ports(t.Context(), 20)
		if err != nil {
			t.Fatal(err)
		}
		if len(ports) != 20 {
			t.Errorf("%d ports, want 20", len(ports))
		}
		for _, port := range ports {
			if seen[port] || port == "0" || port == "" {
				t.Errorf("port %q was returned before or is invalid", port)
			}
			seen[port] = true
		}
	}
}
