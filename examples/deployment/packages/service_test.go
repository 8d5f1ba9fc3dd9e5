//go:build examples

package packages_test

import (
	"bufio"
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/scribegate/scribegate/examples/deployment/internal/cell"
	"github.com/scribegate/scribegate/examples/internal/stage"
)

// A service runs the installed gateway in a cell as its unit would: with the unit's command,
// its user, one capability, no new privileges, a file system that is read-only but for its
// folders, and copies of the credentials. What only an init can set (the system call filter,
// namespaces, devices) is checked in ../systemd.
type service struct {
	*stage.Process
	cell *cell.Cell
}

// mounts makes everything read-only but for the folders that the unit names, and copies the
// credentials.
const mounts = `
umask 077
for folder in /var/lib/scribegate /run/scribegate /run/credentials/scribegate.service; do
	install -d -m 0750 -o scribegate -g scribegate $folder
done
install -m 0400 -o scribegate -g scribegate -t /run/credentials/scribegate.service /etc/scribegate/credentials/*
mount --bind /var/lib/scribegate /var/lib/scribegate
mount -o remount,ro,bind /
exec setpriv --reuid scribegate --regid scribegate --init-groups --no-new-privs \
	--bounding-set -all,+net_bind_service --inh-caps -all,+net_bind_service --ambient-caps -all,+net_bind_service "$@"
`

// start starts the service and waits until it has reported to systemd that it is ready.
func start(ctx context.Context, t *testing.T, c *cell.Cell) *service {
	t.Helper()
	unit := c.Run(ctx, t, "cat", "/usr/lib/systemd/system/scribegate.service")
	command := strings.Fields(directive(t, unit, "ExecStart"))

	// A name in the abstract name space is the same in each file system.
	socket := "@scribegate-test-" + strconv.Itoa(os.Getpid())
	notified, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	must(t, err)
	defer notified.Close()

	args := c.Args("", append([]string{"unshare", "--mount", "sh", "-ec", mounts, "sh"}, command...)...)
	p, err := stage.Start(stage.Command{Name: "the service", Args: args, Env: []string{
		"HOME=/var/lib/scribegate", "NOTIFY_SOCKET=" + socket,
		"STATE_DIRECTORY=/var/lib/scribegate", "RUNTIME_DIRECTORY=/run/scribegate", "CREDENTIALS_DIRECTORY=/run/credentials/scribegate.service",
	}})
	must(t, err)
	s := &service{Process: p, cell: c}
	t.Cleanup(s.kill)
	must(t, notified.SetReadDeadline(time.Now().Add(time.Minute)))
	for message := make([]byte, 4096); ; {
		n, err := notified.Read(message)
		if err != nil {
			t.Fatalf("waiting for READY=1: %v; the service printed:\n%s", err, p.Tail(20))
		}
		if strings.Contains(string(message[:n]), "READY=1") {
			return s
		}
	}
}

// stop stops the service as systemd would. It must end by itself.
func (s *service) stop(t *testing.T) {
	t.Helper()
	must(t, s.Stop())
}

func (s *service) kill() { _ = s.Stop() } // it has ended already, unless the test has failed

// status returns the value of a line of /proc/<pid>/status.
func (s *service) status(t *testing.T, name string) string {
	t.Helper()
	f, err := os.Open(filepath.Join("/proc", strconv.Itoa(s.PID()), "status"))
	must(t, err)
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+":"); ok {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("the process has no status %s", name)
	return ""
}

// directive returns the value of a directive that a unit has once.
func directive(t *testing.T, unit, name string) string {
	t.Helper()
	var values []string
	for line := range strings.Lines(unit) {
		if value, ok := strings.CutPrefix(line, name+"="); ok {
			values = append(values, strings.TrimSpace(value))
		}
	}
	if len(values) != 1 {
		t.Fatalf("the unit has %s %q, want one", name, values)
	}
	return values[0]
}

// lowPort returns a port below 1024 that nobody listens on.
func lowPort(t *testing.T) string {
	t.Helper()
	for port := 1023; port > 512; port-- {
		l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
		if err != nil {
			continue
		}
		must(t, l.Close())
		return strconv.Itoa(port)
	}
	t.Fatal(errors.New("no port from 513 to 1023 is free"))
	return ""
}
