//go:build examples

package systemd_test

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/deployment/internal/cell"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// TestExposure checks systemd's own judgment of the unit: 0 is the safest, 10 the least safe,
// and a unit without any such setting has 9.6.
func TestExposure(t *testing.T) {
	t.Parallel()
	cell.Need(t, "systemd-analyze", "systemd")
	out, err := exec.CommandContext(t.Context(), "systemd-analyze", "--no-pager", "security", "--offline=true", "--threshold=20", "scribegate.service").CombinedOutput()
	if err != nil {
		t.Errorf("the exposure is above 2.0: %v\n%s", err, out)
	}
}

// TestSystemCalls runs a gateway with the Caddyfile of the service, and checks that the unit
// permits every system call, address family and memory mapping that it uses.
func TestSystemCalls(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeoutCause(t.Context(), 4*time.Minute, errors.New("4 minutes are over"))
	t.Cleanup(cancel)
	cell.Need(t, "strace", "strace")
	cell.Need(t, "setpriv", "util-linux")
	if os.Geteuid() != 0 {
		t.Fatal("this test runs the gateway as another user: run it as root")
	}
	permitted := callsOf(ctx, t, "@system-service")
	for name := range callsOf(ctx, t, "@privileged", "@resources") {
		delete(permitted, name)
	}
	for _, line := range []string{
		"SystemCallFilter=@system-service", "SystemCallFilter=~@privileged @resources", "MemoryDenyWriteExecute=true",
		"RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX AF_NETLINK",
	} {
		if !strings.Contains(read(t, "scribegate.service"), "\n"+line+"\n") {
			t.Errorf("this test checks another unit: there is no line %s", line)
		}
	}

	trace := traceGateway(ctx, t)
	calls, families := make(map[string]bool), make(map[string]bool)
	for line := range strings.Lines(trace) {
		found := call.FindStringSubmatch(line)
		if found == nil {
			continue // the end of a call that was interrupted, a signal, an exit
		}
		calls[found[1]] = true
		if family := socket.FindStringSubmatch(line); family != nil {
			families[family[1]] = true
		}
		if strings.Contains(line, "PROT_WRITE|PROT_EXEC") {
			t.Errorf("memory that is writable and executable: %s", line)
		}
	}
	for _, name := range []string{"execve", "fdatasync", "epoll_pwait", "fcntl"} {
		if !calls[name] {
			t.Errorf("the gateway was not traced whole: no %s in %d system calls", name, len(calls))
		}
	}
	for name := range calls {
		if !permitted[name] {
			t.Errorf("the unit does not permit the system call %s", name)
		}
	}
	for name := range families {
		if !strings.Contains(" AF_INET AF_INET6 AF_UNIX AF_NETLINK ", " "+name+" ") {
			t.Errorf("the unit does not permit the address family %s", name)
		}
	}
	t.Logf("%d system calls, families %v", len(calls), families)
}

var (
	call   = regexp.MustCompile(`^\d+ +([a-z0-9_]+)\(`)
	socket = regexp.MustCompile(` socket\((AF_[A-Z0-9]+)`)
)

// traceGateway runs the gateway under strace while notes arrive, the configuration is
// reloaded, and commands ask it. It returns the trace.
func traceGateway(ctx context.Context, t *testing.T) string {
	t.Helper()
	delivered := make(chan string, 100)
	backend := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { delivered <- r.Header.Get("webhook-id") }))
	t.Cleanup(backend.Close)
	ports, err := stage.Ports(ctx, 1)
	must(t, err)
	address := "http://127.0.0.1:" + ports[0]
	s := newSite(ctx, t, "hooks.example.com {", address+" {", "http://127.0.0.1:9000/events", backend.URL)
	trace := filepath.Join(s.dir, "trace")

	// Not as root, for whom SQLite does more: it gives its files to the owner of the folder.
	const nobody = 65534
	installed := filepath.Join(s.dir, "caddy")
	must(t, os.Chmod(filepath.Dir(s.dir), 0o755)) // the folder of all temporary folders of the test
	must(t, exec.CommandContext(ctx, "cp", s.binary, installed).Run())
	must(t, exec.CommandContext(ctx, "chown", "-R", strconv.Itoa(nobody), s.dir).Run())
	gateway := s.start(ctx, t, nil, "setpriv", "--reuid", strconv.Itoa(nobody), "--clear-groups", "strace", "-D", "-f", "-qq", "-o", trace, installed)

	admin := "unix/" + filepath.Join(s.dir, "admin.sock")
	for _, args := range [][]string{
		nil,
		{"reload", "--config", s.config, "--force"},
		{"scribegate", "status", "--address", admin},
		{"scribegate", "backup", filepath.Join(s.dir, "copy.db"), "--address", admin},
		{"scribegate", "compact", "--address", admin},
	} {
		if args != nil {
			command := exec.CommandContext(ctx, s.binary, args...)
			command.Env = s.env
			if out, err := command.CombinedOutput(); err != nil {
				t.Fatalf("caddy %q: %v\n%s", args, err, out)
			}
		}
		answer, err := send(ctx, t, address, "after-"+strings.Join(args, "-"))
		if err != nil || answer.Status != http.StatusOK {
			t.Fatalf("a note is answered %+v, %v, want 200; the gateway printed:\n%s", answer, err, gateway.Tail(20))
		}
		select {
		case id := <-delivered:
			if id != answer.ID {
				t.Errorf("the event %s is delivered, want %s", id, answer.ID)
			}
		case <-ctx.Done():
			t.Fatalf("the event %s is not delivered; the gateway printed:\n%s", answer.ID, gateway.Tail(20))
		}
	}
	for page, want := range map[string]string{"/metrics": "scribegate_events_received_total{", "/": "<html"} {
		if body := get(ctx, t, s.console+page); !strings.Contains(body, want) {
			t.Errorf("the page %s has no %s:\n%s", page, want, body)
		}
	}
	must(t, gateway.Stop())
	return read(t, trace)
}

// callsOf returns the system calls of systemd's sets.
func callsOf(ctx context.Context, t *testing.T, sets ...string) map[string]bool {
	t.Helper()
	cell.Need(t, "systemd-analyze", "systemd")
	calls := make(map[string]bool)
	for _, set := range sets {
		out, err := exec.CommandContext(ctx, "systemd-analyze", "--no-pager", "syscall-filter", set).Output()
		must(t, err)
		for line := range strings.Lines(string(out)) {
			switch name := strings.TrimSpace(line); {
			case name == "" || name == set || strings.HasPrefix(name, "#"):
			case strings.HasPrefix(name, "@"):
				for name := range callsOf(ctx, t, name) {
					calls[name] = true
				}
			default:
				calls[name] = true
			}
		}
	}
	return calls
}
